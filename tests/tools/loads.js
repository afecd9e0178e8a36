// Loads ONNX files in onnxruntime and runs each on a hundred images: node loads.js IMAGES n C H W FILE.onnx ..., where IMAGES is what the
// program `images` wrote. Prints a line a file: how many are right.
'use strict';
const fs = require('fs');
const path = require('path');
const folder = process.env.ESPALIER_ORT;
const ort = require(folder ? path.join(folder, 'onnxruntime-node') : 'onnxruntime-node');

async function main() {
    const [images, ...rest] = process.argv.slice(2);
    const [n, C, H, W] = rest.slice(0, 4).map(Number);
    const count = Math.min(100, n);
    const bytes = fs.readFileSync(images);
    const pixels = new Float32Array(new Uint8Array(bytes.subarray(n)).buffer, 0, count * C * H * W);
    for (const file of rest.slice(4)) {
        const session = await ort.InferenceSession.create(file, {intraOpNumThreads: 1});
        const out = (await session.run({[session.inputNames[0]]: new ort.Tensor('float32', pixels, [count, C, H, W])}))[session.outputNames[0]];
        const classes = out.dims[1];
        let right = 0;
        for (let i = 0; i < count; i++) {
            const scores = out.data.subarray(i * classes, (i + 1) * classes);
            if (!scores.every(Number.isFinite)) throw new Error(`${file}: not a number`);
            right += scores.indexOf(Math.max(...scores)) === bytes[i];
        }
        console.log(`${path.basename(file)} ${right} right of ${count}`);
    }
}

main().catch((e) => { console.error(e.message); process.exit(1); });
