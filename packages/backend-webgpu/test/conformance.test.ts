/** Every op of core on the WebGPU device, against its reference kernel. */
import { env } from 'node:process';
import { afterAll, describe, test } from 'vitest';
import { coreOps } from '@pergola/core';
import { coreCases, describeBackend, quickCases } from '@pergola/core/conformance';
import { openDevice } from './adapter.ts';

// SwiftShader takes minutes for all cases: the sources run them all, the built files, made from them, the short cut.
const cases = env['PERGOLA_TEST_DIST'] === '1' ? quickCases(coreCases()) : coreCases();

describeBackend({ describe, test, afterAll }, 'webgpu', openDevice, cases, { ops: coreOps() });
