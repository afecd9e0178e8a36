// The same network in onnxruntime on one thread:  node ort_infer.js FILE.onnx SECONDS BATCH...
// Prints "BATCH RATE CPU_RATE" a batch size, in images a second of wall and of processor time. The module is found
// through NODE_PATH; SHAPE is the input's, "3 32 32" unless told.
'use strict';

let ort;
try {
    ort = require('onnxruntime-node');
} catch (e) {
    console.error('onnxruntime-node is not installed (looked along NODE_PATH)');
    process.exit(3);
}

async function rate(session, name, dims, seconds) {
    const n = dims.reduce((a, b) => a * b, 1);
    const x = Float32Array.from({length: n}, (_, i) => Math.sin(i * 0.7));
    const feeds = {[name]: new ort.Tensor('float32', x, dims)};
    for (let i = 0; i < 3; i++) await session.run(feeds);
    const begin = process.hrtime.bigint(), cpu = process.cpuUsage();
    for (let passes = 1;; passes++) {
        await session.run(feeds);
        const spent = Number(process.hrtime.bigint() - begin) / 1e9;
        if (spent < seconds || passes < 3) continue;
        const used = process.cpuUsage(cpu), images = passes * dims[0];
        return (images / spent).toFixed(1) + ' ' + (images / (used.user + used.system) * 1e6).toFixed(1);
    }
}

async function main() {
    const [path, seconds, ...batches] = process.argv.slice(2);
    const options = {
        intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all',
    };
    const shape = (process.env.SHAPE || '3 32 32').split(' ').map(Number);
    const session = await ort.InferenceSession.create(path, options);
    for (const b of batches) {
        console.log(b + ' ' + await rate(session, session.inputNames[0], [Number(b), ...shape], Number(seconds)));
    }
}

main().catch(e => {
    console.error(String(e));
    process.exit(1);
});
