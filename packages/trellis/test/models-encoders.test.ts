/** The image and text encoders against the reference. */
import { InputError, type Device } from '@pergola/core';
import {
  ClipTextModel,
  describeModel,
  DinoVisionTransformer,
  type ClipTextConfig,
  type DinoConfig,
} from '@pergola/trellis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestDevice } from '../../../testdata/device.ts';
import { synthInput } from '../../../testdata/synthetic.ts';
import {
  everyRow,
  floats,
  goldenCase,
  integers,
  openTestdata,
  relativeError,
  syntheticStore,
} from './golden.ts';

const TOLERANCE = 2e-5;

let device: Device;
let golden: Awaited<ReturnType<typeof openTestdata>>;
beforeAll(async () => {
  device = await openTestDevice();
  golden = await openTestdata('golden/models_small.safetensors');
});
afterAll(() => device.dispose());

test.each([
  // At 224 pixels the position table of 518 is shrunk to 16 by 16.
  ['dinov2_224', 224, 1],
  ['dinov2_518', 518, 5],
] as const)('%s', async (name, side, step) => {
  const { args, params } = await goldenCase(name);
  const config = describeModel('DinoVisionTransformer', args, name).config as DinoConfig;
  const specs = DinoVisionTransformer.expectedParameters(config);
  expect(specs.map((spec) => [spec.name, spec.shape])).toEqual(Object.entries(params));
  using encoder = await DinoVisionTransformer.load(syntheticStore(specs), config, device);
  const loaded = device.memory().storages;
  const image = device.tensor(synthInput('img', [1, 3, side, side]), [1, 3, side, side]);
  const { raw, condition } = encoder.forward(image);
  for (const [tensor, output] of [
    [raw, 'x_prenorm'],
    [condition, 'tokens'],
  ] as const) {
    const out = everyRow(await tensor.floats(), 64, step);
    const error = relativeError(out, await floats(golden, `${name}/${output}`));
    expect(error).toBeLessThan(TOLERANCE);
    tensor.dispose();
  }
  image.dispose();
  // The resized position table stays for the next picture.
  expect(device.memory().storages).toBe(loaded + (side === 224 ? 1 : 0));
});

test('clip_text', async () => {
  const { args, params } = await goldenCase('clip_text');
  const config = describeModel('CLIPTextModel', args, 'clip_text').config as ClipTextConfig;
  const specs = ClipTextModel.expectedParameters(config);
  expect(specs.map((spec) => [spec.name, spec.shape])).toEqual(Object.entries(params));
  using encoder = await ClipTextModel.load(syntheticStore(specs), config, device);
  const ids = [...(await integers(golden, 'clip_text/input_ids'))];
  using out = encoder.forward([ids.slice(0, 77), ids.slice(77)]);
  expect(out.shape).toEqual([2, 77, 64]);
  const error = relativeError(await out.floats(), await floats(golden, 'clip_text/out'));
  expect(error).toBeLessThan(TOLERANCE);

  expect(() => encoder.forward([[1, 2], [3]])).toThrow(InputError);
  expect(() => encoder.forward([[1000]])).toThrow(
    'clipText: ids must be integers from 0 to 999, got 1000.',
  );
});
