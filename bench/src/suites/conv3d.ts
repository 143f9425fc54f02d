/** Dense 3-D convolution, kernel 3, padding 1. */
import { conv3d, conv3dOp, type Device } from '@pergola/core';
import { deviceContender, fillUniform, referenceContender } from '../contenders.ts';
import { onnxContender } from '../onnx-contender.ts';
import type { Workload } from '../runner.ts';

/** `[1, size, size, size, channels]` to as many channels, channels last (first for ONNX, which knows only that). */
export function conv3dWorkload(
  size: number,
  channels: number,
  devices: Readonly<Record<string, Device>>,
): Workload {
  const voxels = size ** 3;
  const shape = [1, size, size, size, channels];
  const weightShape = [channels, channels, 3, 3, 3];
  const options = { padding: 1, layout: 'channelsLast' } as const;
  return {
    name: `conv3d f32 3^3 ${size}^3 x ${channels} -> ${channels}`,
    flops: 2 * 27 * voxels * channels * channels,
    async contenders() {
      const list = Object.entries(devices).map(([name, device]) => {
        const x = device.tensor(fillUniform(voxels * channels), shape);
        const weight = device.tensor(fillUniform(27 * channels * channels), weightShape);
        return deviceContender(name, device, [x, weight], () =>
          conv3d(x, weight, undefined, options),
        );
      });
      list.push(
        referenceContender(
          conv3dOp,
          [
            { dtype: 'f32', shape },
            { dtype: 'f32', shape: weightShape },
          ],
          {
            stride: [1, 1, 1],
            padding: [1, 1, 1],
            dilation: [1, 1, 1],
            groups: 1,
            layout: 'channelsLast',
          },
        ),
        await onnxContender(
          'onnxruntime-web, 1 thread',
          [
            {
              op: 'Conv',
              inputs: ['x', 'w'],
              outputs: ['y'],
              attributes: { kernel_shape: [3, 3, 3], pads: [1, 1, 1, 1, 1, 1] },
            },
          ],
          [
            { name: 'x', shape: [1, channels, size, size, size] },
            { name: 'w', shape: weightShape },
          ],
          { name: 'y', shape: [1, channels, size, size, size] },
          fillUniform,
        ),
      );
      return list;
    },
  };
}
