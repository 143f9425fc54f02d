/** Every op of the sparse package on the WebGPU device, against its reference kernel. */
import { env } from 'node:process';
import { afterAll, describe, test } from 'vitest';
import { describeBackend, quickCases } from '@pergola/core/conformance';
import { sparseOps } from '@pergola/sparse';
import { sparseCases } from '@pergola/sparse/conformance';
import { openDevice } from './adapter.ts';

// As in conformance.test.ts: all cases from the sources, the short cut from the built files.
const cases = env['PERGOLA_TEST_DIST'] === '1' ? quickCases(sparseCases()) : sparseCases();

describeBackend({ describe, test, afterAll }, 'webgpu', openDevice, cases, { ops: sparseOps() });
