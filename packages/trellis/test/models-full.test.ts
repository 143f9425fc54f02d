/**
 * The networks at their published sizes, with synthetic weights, against the reference.
 *
 * The golden file is not part of the repository, and on a CPU these cases take minutes: see testdata/files.ts.
 */
import type { Device, Safetensors } from '@pergola/core';
import { SparseStructure, SparseTensor } from '@pergola/sparse';
import {
  describeModel,
  DinoVisionTransformer,
  SLatFlowModel,
  SLatGaussianDecoder,
  SLatMeshDecoder,
  SparseStructureDecoder,
  SparseStructureFlowModel,
  type DinoConfig,
  type ModelConfigs,
  type ModelName,
} from '@pergola/trellis';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openTestDevice, testDType, testTolerance } from '../../../testdata/device.ts';
import { largeGolden } from '../../../testdata/files.ts';
import { synthInput } from '../../../testdata/synthetic.ts';
import {
  everyRow,
  floats,
  goldenCase,
  integers,
  openFile,
  relativeError,
  syntheticStore,
} from './golden.ts';

const FILE = 'models_full.safetensors';
const F32_TOLERANCE = 1e-4;
// Half precision may be this much less exact than the reference's own.
const HALF_MARGIN = 1.5;

const source = largeGolden(FILE);

vi.setConfig({ testTimeout: 1_800_000 });

/** Configuration of a case and the bound on its error. */
async function readCase<Name extends ModelName>(
  model: Name,
  name: string,
): Promise<{ config: ModelConfigs[Name]; tolerance: number }> {
  const { args, reference_fp16_relative_error: half } = await goldenCase(name, FILE);
  const config = describeModel(model, args, name).config as ModelConfigs[Name];
  return { config, tolerance: testTolerance(F32_TOLERANCE, HALF_MARGIN * (half ?? 0)) };
}

if ('missing' in source) {
  test.skip(`networks of published size were not run: ${source.missing}`);
} else {
  describe('networks of published size', () => {
    let device: Device;
    let golden: Safetensors;
    beforeAll(async () => {
      device = await openTestDevice();
      golden = await openFile(source.path);
    });
    afterAll(() => device.dispose());

    /** Says the error in the report: how close a half-precision device comes is worth knowing. */
    async function expectGolden(
      actual: Float32Array,
      output: string,
      tolerance: number,
    ): Promise<void> {
      const error = relativeError(actual, await floats(golden, output));
      process.stdout.write(`${output}: error ${error.toExponential(2)}, allowed ${tolerance}\n`);
      expect(error).toBeLessThan(tolerance);
    }

    /** Synthetic features on the voxels of a case. */
    async function sparseInput(name: string, input: string): Promise<SparseTensor> {
      const coords = await integers(golden, `${name}/coords`);
      const count = coords.length / 4;
      using tensor = device.tensor(coords, [count, 4]);
      const structure = await SparseStructure.create(tensor);
      const feats = device.tensor(synthInput(input, [count, 8]), [count, 8]);
      return new SparseTensor(structure, feats);
    }

    test.each([
      ['ssflow_image_large', [1, 1374, 1024]],
      ['ssflow_text_xlarge', [1, 77, 768]],
    ])('%s', async (name, condShape) => {
      const { config, tolerance } = await readCase('SparseStructureFlowModel', name);
      const store = syntheticStore(SparseStructureFlowModel.expectedParameters(config));
      using flow = await SparseStructureFlowModel.load(store, config, device, {
        dtype: testDType(),
      });
      const out = await device.run(async () => {
        const x = device.tensor(synthInput('x', 8 * 16 ** 3), [1, 8, 16, 16, 16]);
        const cond = device.tensor(synthInput('cond', condShape), condShape);
        return flow.forward(x, 700, flow.prepareCondition(cond)).floats();
      });
      await expectGolden(out, `${name}/out`, tolerance);
    });

    test('slatflow_image_large', async () => {
      const name = 'slatflow_image_large';
      const { config, tolerance } = await readCase('SLatFlowModel', name);
      const store = syntheticStore(SLatFlowModel.expectedParameters(config));
      using flow = await SLatFlowModel.load(store, config, device, { dtype: testDType() });
      using x = await sparseInput(name, 'x');
      using cond = device.tensor(synthInput('cond', [1, 1374, 1024]), [1, 1374, 1024]);
      using condition = flow.prepareCondition(cond);
      using out = await flow.forward(x, 700, condition);
      await expectGolden(await out.feats.floats(), `${name}/out`, tolerance);
      x.structure.dispose();
    });

    test('ssdec', async () => {
      const { config, tolerance } = await readCase('SparseStructureDecoder', 'ssdec');
      const store = syntheticStore(SparseStructureDecoder.expectedParameters(config));
      using decoder = await SparseStructureDecoder.load(store, config, device, {
        dtype: testDType(),
      });
      const logits = await device.run(async () =>
        decoder.forward(device.tensor(synthInput('z', 8 * 16 ** 3), [1, 8, 16, 16, 16])).floats(),
      );
      // The golden file keeps every second voxel of each axis.
      const kept = logits.filter(
        (_, i) => (i & 1) === 0 && ((i >> 6) & 1) === 0 && ((i >> 12) & 1) === 0,
      );
      await expectGolden(kept, 'ssdec/out', tolerance);
    });

    test('gsdec', async () => {
      const { config, tolerance } = await readCase('SLatGaussianDecoder', 'gsdec');
      const store = syntheticStore(SLatGaussianDecoder.expectedParameters(config));
      using decoder = await SLatGaussianDecoder.load(store, config, device, {
        dtype: testDType(),
      });
      using x = await sparseInput('gsdec', 'z');
      using out = await decoder.forward(x);
      await expectGolden(everyRow(await out.feats.floats(), 448, 4), 'gsdec/out', tolerance);
      x.structure.dispose();
    });

    test('meshdec', async () => {
      const { config, tolerance } = await readCase('SLatMeshDecoder', 'meshdec');
      const store = syntheticStore(SLatMeshDecoder.expectedParameters(config));
      using decoder = await SLatMeshDecoder.load(store, config, device, {
        dtype: testDType(),
        pointwiseReading: 'reinterpreted',
      });
      using x = await sparseInput('meshdec', 'z');
      using cells = await decoder.forward(x);
      const coords = (await cells.coords.values()) as Int32Array;
      const expected = await integers(golden, 'meshdec/out_coords');
      const differing = expected.findIndex((v, i) => coords[(i >> 2) * 72 * 4 + (i & 3)] !== v);
      expect(differing).toBe(-1);
      await expectGolden(everyRow(await cells.feats.floats(), 101, 72), 'meshdec/out', tolerance);
      x.structure.dispose();
    });

    test('dinov2_vitl14_reg', async () => {
      const args = {
        img_size: 518,
        patch_size: 14,
        embed_dim: 1024,
        depth: 24,
        num_heads: 16,
        num_register_tokens: 4,
      };
      const described = describeModel('DinoVisionTransformer', args, 'dinov2_vitl14_reg');
      const config = described.config as DinoConfig;
      const store = syntheticStore(DinoVisionTransformer.expectedParameters(config));
      using encoder = await DinoVisionTransformer.load(store, config, device);
      const tokens = await device.run(async () => {
        const image = device.tensor(synthInput('img', 3 * 518 * 518), [1, 3, 518, 518]);
        return encoder.forward(image).condition.floats();
      });
      // The encoder computes in f32 whatever the torso of the other networks.
      const name = 'dinov2_vitl14_reg/tokens';
      await expectGolden(everyRow(tokens, 1024, 8), name, F32_TOLERANCE);
    });
  });
}
