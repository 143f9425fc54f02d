/** The CPU backend against the reference kernels of the sparse ops. */
import { createCpuDevice } from '@pergola/core';
import { describeBackend } from '@pergola/core/conformance';
import { sparseOps } from '@pergola/sparse';
import { sparseCases } from '@pergola/sparse/conformance';
import { afterAll, describe, test } from 'vitest';

describeBackend({ describe, test, afterAll }, 'cpu', createCpuDevice, sparseCases(), {
  ops: sparseOps(),
});
