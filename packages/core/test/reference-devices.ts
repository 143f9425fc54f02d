/** Devices for tests of the catalogue itself: no kernels of any backend take part. */
import {
  createCpuDevice,
  Device,
  type Backend,
  type Kernel,
  type KernelCall,
  type Op,
} from '@pergola/core';

/** The CPU's memory with another kernel table. */
async function openDevice(
  name: string,
  kernel: (op: Op, inner: Backend) => Kernel | undefined,
  withReference: boolean,
): Promise<Device> {
  const inner = (await createCpuDevice()).backend;
  const backend: Backend = {
    name,
    info: inner.info,
    context: inner.context,
    kernel: (op) => kernel(op, inner),
    allocate: (bytes) => inner.allocate(bytes),
    free: (buffer) => inner.free(buffer),
    upload: (buffer, byteOffset, source) => inner.upload(buffer, byteOffset, source),
    download: (buffer, byteOffset, bytes) => inner.download(buffer, byteOffset, bytes),
    sync: () => inner.sync(),
    memory: () => inner.memory(),
    dispose: () => inner.dispose(),
  };
  if (!withReference) return new Device(backend);
  return new Device({ ...backend, reference: (...call) => inner.reference!(...call) });
}

/** A device on which every op runs its reference kernel. */
export async function createReferenceDevice(): Promise<Device> {
  return openDevice('reference', () => undefined, true);
}

/** A device on which every op that has a decomposition runs it; the others run their reference kernels. */
export async function createDecomposingDevice(): Promise<Device> {
  return openDevice(
    'decomposing',
    (op, inner): Kernel | undefined =>
      op.decompose === undefined
        ? {
            op: op.name,
            supports: () => true,
            acceptsStrides: () => op.name === 'copy',
            prepare: (call) => call,
            run: (plan, inputs, outputs) =>
              inner.reference!(op, plan as KernelCall, inputs, outputs),
          }
        : undefined,
    false,
  );
}

/** Deterministic values in about [-2, 2], different for every salt. */
export function sample(count: number, salt = 1): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => 2 * Math.sin(1.7 * i * salt + 0.3 * salt));
}

/** Largest absolute difference; NaN where only one side is NaN, so that it fails every bound. */
export function largestError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return NaN;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i])) continue;
    const error = Math.abs(actual[i]! - expected[i]!);
    if (Number.isNaN(error)) return NaN;
    worst = Math.max(worst, error);
  }
  return worst;
}
