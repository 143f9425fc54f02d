/**
 * A picture to all outputs with networks of published size and synthetic weights.
 *
 * What such weights sample is noise, so the second stage and the decoders run on the benchmark shell instead of the
 * structure that the first stage found, and no surface is extracted from the mesh decoder's cells.
 */
import { TorchGenerator, type Device, type Tensor } from '@pergola/core';
import type { SparseTensor } from '@pergola/sparse';
import {
  decodeOccupancy,
  EmptyStructureError,
  NetworkSet,
  sampleLatent,
  sampleStructure,
  structureNoise,
  type NetworkAccess,
  type NetworksByName,
  type NetworkSources,
} from '@pergola/trellis';
import type { GpuCase } from './case.ts';
import type { FigureName } from './figures.ts';
import { publishedNetwork, randomTensor, shellLatents } from './network-cases.ts';
import { PUBLISHED_SAMPLER } from './published-networks.ts';

const NORMALIZATION = { mean: new Array<number>(8).fill(0), std: new Array<number>(8).fill(1) };

type Networks = {
  readonly encoder: NetworksByName['DinoVisionTransformer'];
  readonly structureFlow: NetworksByName['SparseStructureFlowModel'];
  readonly occupancy: NetworksByName['SparseStructureDecoder'];
  readonly latentFlow: NetworksByName['SLatFlowModel'];
  readonly gaussians: NetworksByName['SLatGaussianDecoder'];
  readonly field: NetworksByName['SLatRadianceFieldDecoder'];
  readonly mesh: NetworksByName['SLatMeshDecoder'];
};

function sources(device: Device): NetworkSources<Networks> {
  return {
    encoder: publishedNetwork('DinoVisionTransformer', device),
    structureFlow: publishedNetwork('SparseStructureFlowModel', device),
    occupancy: publishedNetwork('SparseStructureDecoder', device),
    latentFlow: publishedNetwork('SLatFlowModel', device),
    gaussians: publishedNetwork('SLatGaussianDecoder', device),
    field: publishedNetwork('SLatRadianceFieldDecoder', device),
    mesh: publishedNetwork('SLatMeshDecoder', device),
  };
}

/** One run from a prepared picture to the outputs of every decoder. */
async function generate(
  device: Device,
  networks: NetworkAccess<Networks>,
  image: Tensor,
  shell: SparseTensor,
): Promise<void> {
  const options = { sampler: PUBLISHED_SAMPLER };
  const condition = await networks.use(
    'encoder',
    async (encoder) => encoder.forward(image).condition,
  );
  const conditioning = { positive: [condition], negative: 'zeros' } as const;
  const latent = await networks.use('structureFlow', async (flow) => {
    using noise = structureNoise(new TorchGenerator(1), flow.config, 1, device);
    return await sampleStructure(flow, noise, conditioning, options);
  });
  await networks.use('occupancy', async (decoder) => {
    try {
      (await decodeOccupancy(decoder, latent)).dispose();
    } catch (error) {
      if (!(error instanceof EmptyStructureError)) throw error;
    }
  });
  const { structure, feats } = shell;
  const sampled = await networks.use('latentFlow', (flow) =>
    sampleLatent(flow, structure, feats, conditioning, NORMALIZATION, options),
  );
  await networks.use('gaussians', (decoder) => decoder.decode(sampled));
  await networks.use('field', (decoder) => decoder.decode(sampled));
  await networks.use('mesh', async (decoder) => {
    const cells = await decoder.forward(sampled);
    await cells.feats.data();
  });
}

function pipelineCase(figure: FigureName, weights: string, memoryBudget: number): GpuCase {
  return {
    figure,
    detail: `25 + 25 steps, decoders on the shell, without surface extraction, ${weights}`,
    async prepare(device) {
      const networks = await NetworkSet.open<Networks>(sources(device), { memoryBudget });
      const image = randomTensor(device, [1, 3, 518, 518]);
      const shell = await shellLatents(device);
      return {
        run: () => generate(device, networks, image, shell),
        dispose() {
          for (const resource of [networks, image, shell.feats, shell.structure])
            resource.dispose();
        },
      };
    },
  };
}

/** All weights held; and loaded in turn, which is slow here because synthetic weights are made anew. */
export const PIPELINE_CASES: readonly GpuCase[] = [
  pipelineCase('image to all outputs', 'weights held', Infinity),
  pipelineCase('image to all outputs, budget', 'weights loaded in turn', 1),
];
