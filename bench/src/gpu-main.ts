/** `node bench/dist/gpu-main.js --device cuda [--filter conv] [--seconds 1] [--out results]`: see gpu/bench.ts. */
import { argv } from 'node:process';
import { runGpuBench } from './gpu/bench.ts';

await runGpuBench(argv.slice(2));
