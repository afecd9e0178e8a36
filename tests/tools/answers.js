// Runs ONNX files in onnxruntime on the input that the program `answer` wrote and compares with its output:
// node answers.js INPUT OUTPUT FILE.onnx ... Prints for each the largest distance, as a fraction of the largest number.
'use strict';
const fs = require('fs');
const path = require('path');
const folder = process.env.ESPALIER_ORT;
const ort = require(folder ? path.join(folder, 'onnxruntime-node') : 'onnxruntime-node');

const floats = (file) => new Float32Array(new Uint8Array(fs.readFileSync(file)).buffer);

async function main() {
    const [input, output, ...files] = process.argv.slice(2);
    const x = floats(input), want = floats(output);
    for (const file of files) {
        const session = await ort.InferenceSession.create(file, {intraOpNumThreads: 1, logSeverityLevel: 3});
        // Old files list their weights among their inputs; the network's own is the one with its size.
        const meta = session.inputMetadata.filter((m) => m.isTensor);
        const size = (m) => m.shape.slice(1).reduce((a, b) => a * b, 1);
        const of = meta.find((m) => size(m) === x.length) || meta[0];
        const dims = [1, ...of.shape.slice(1)];
        const got = (await session.run({[of.name]: new ort.Tensor('float32', x, dims)}))[session.outputNames[0]].data;
        if (got.length !== want.length) throw new Error(`${file}: ${got.length} numbers in place of ${want.length}`);
        let most = 1e-12, off = 0;
        for (let i = 0; i < want.length; i++) {
            most = Math.max(most, Math.abs(got[i]));
            off = Math.max(off, Number.isFinite(want[i]) ? Math.abs(got[i] - want[i]) : Infinity);
        }
        console.log(off / most);
    }
}

main().catch((e) => { console.error(e.message); process.exit(1); });
