// Scores an ONNX file in onnxruntime: node runtime.js FILE.onnx IMAGES n C H W, where IMAGES is what the program `images` wrote.
// Prints how many images have their label on top.
'use strict';
const fs = require('fs');
const path = require('path');
const folder = process.env.ESPALIER_ORT;
const ort = require(folder ? path.join(folder, 'onnxruntime-node') : 'onnxruntime-node');

async function main() {
    const [file, images, ...dims] = process.argv.slice(2);
    const [n, C, H, W] = dims.map(Number);
    const bytes = fs.readFileSync(images);
    const labels = bytes.subarray(0, n);
    const pixels = new Float32Array(new Uint8Array(bytes.subarray(n)).buffer);
    const session = await ort.InferenceSession.create(file, {intraOpNumThreads: 1});
    let right = 0;
    for (let at = 0; at < n; at += 100) {
        const count = Math.min(100, n - at), area = C * H * W;
        const x = new ort.Tensor('float32', pixels.slice(at * area, (at + count) * area), [count, C, H, W]);
        const out = (await session.run({[session.inputNames[0]]: x}))[session.outputNames[0]];
        const classes = out.dims[1];
        for (let i = 0; i < count; i++) {
            const scores = out.data.subarray(i * classes, (i + 1) * classes);
            let best = 0;
            for (let k = 1; k < classes; k++)
                if (scores[k] > scores[best]) best = k;
            right += best === labels[at + i];
        }
    }
    console.log(right);
}

main().catch((e) => { console.error(e.message); process.exit(1); });
