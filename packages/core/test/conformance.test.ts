import { afterAll, describe, test } from 'vitest';
import { coreOps, createCpuDevice } from '@pergola/core';
import { coreCases, describeBackend } from '@pergola/core/conformance';

describeBackend({ describe, test, afterAll }, 'cpu', createCpuDevice, coreCases(), {
  ops: coreOps(),
});
