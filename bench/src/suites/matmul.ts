/** f32 matrix products. */
import { matmul, matmulOp, type Device } from '@pergola/core';
import { deviceContender, fillUniform, referenceContender } from '../contenders.ts';
import { onnxContender } from '../onnx-contender.ts';
import type { Workload } from '../runner.ts';

/** `[m, k] x [k, n]` on every device; the reference only where it takes seconds, not minutes. */
export function matmulWorkload(
  m: number,
  k: number,
  n: number,
  devices: Readonly<Record<string, Device>>,
): Workload {
  return {
    name: `matmul f32 ${m}x${k}x${n}`,
    flops: 2 * m * k * n,
    async contenders() {
      const list = Object.entries(devices).map(([name, device]) => {
        const a = device.tensor(fillUniform(m * k), [m, k]);
        const b = device.tensor(fillUniform(k * n), [k, n]);
        return deviceContender(name, device, [a, b], () => matmul(a, b));
      });
      list.push(
        referenceContender(
          matmulOp,
          [
            { dtype: 'f32', shape: [m, k] },
            { dtype: 'f32', shape: [k, n] },
          ],
          {},
        ),
        await onnxContender(
          'onnxruntime-web, 1 thread',
          [{ op: 'MatMul', inputs: ['a', 'b'], outputs: ['c'] }],
          [
            { name: 'a', shape: [m, k] },
            { name: 'b', shape: [k, n] },
          ],
          { name: 'c', shape: [m, n] },
          fillUniform,
        ),
      );
      return list;
    },
  };
}
