/**
 * A picture to all outputs with networks of published size and synthetic weights.
 *
 * What such weights sample is noise, so the second stage and the decoders run on the benchmark shell instead of the
 * structure that the first stage found, and the mesh decoder's distances are replaced by those to the shell's surface.
 */
import { concat, TorchGenerator, type Device, type Tensor } from '@pergola/core';
import { SparseTensor } from '@pergola/sparse';
import {
  decodeOccupancy,
  EmptyStructureError,
  NetworkSet,
  readMeshes,
  sampleLatent,
  sampleStructure,
  structureNoise,
  type NetworkAccess,
  type NetworksByName,
  type NetworkSources,
} from '@pergola/trellis';
import { CELL_DISTANCES as DISTANCES, cellDistances } from '../mesh-cells.ts';
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

function withoutDistances(feats: Tensor): Tensor {
  using rest = feats.slice(1, DISTANCES);
  return rest.toContiguous();
}

/** As the decoder's own `decode`, with other distances. */
async function extractSurface(
  decoder: NetworksByName['SLatMeshDecoder'],
  x: SparseTensor,
  distances: Tensor,
): Promise<void> {
  const voxels = (await x.structure.coords.values()) as Int32Array;
  const cells = await decoder.forward(x);
  // One after the other, so that memory peaks where it would in a run of trained networks.
  using rest = withoutDistances(cells.feats);
  cells.feats.dispose();
  using feats = concat([distances, rest], { axis: 1 });
  rest.dispose();
  await readMeshes(new SparseTensor(cells.structure, feats), () =>
    decoder.arrangeCells(voxels, x.structure.lengths),
  );
}

/** One run from a prepared picture to the outputs of every decoder. */
async function generate(
  device: Device,
  networks: NetworkAccess<Networks>,
  image: Tensor,
  shell: SparseTensor,
  distances: Tensor,
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
  await networks.use('mesh', (decoder) => extractSurface(decoder, sampled, distances));
}

function pipelineCase(figure: FigureName, weights: string, memoryBudget: number): GpuCase {
  const held = memoryBudget === Infinity;
  return {
    figure,
    detail: `25 + 25 steps, decoders and surface of the shell, ${weights}`,
    async prepare(device) {
      const networks = await NetworkSet.open<Networks>(sources(device), { memoryBudget });
      const image = randomTensor(device, [1, 3, 518, 518]);
      const shell = await shellLatents(device);
      const distances = device.tensor(cellDistances().distances, [64 * shell.structure.count, 8]);
      const owned = [networks, image, shell.feats, shell.structure, distances];
      return {
        once: !held,
        run: () => generate(device, networks, image, shell, distances),
        dispose: () => owned.forEach((resource) => resource.dispose()),
      };
    },
  };
}

/** All weights held; and loaded in turn, which is slow here because synthetic weights are made anew. */
export const PIPELINE_CASES: readonly GpuCase[] = [
  pipelineCase('image to all outputs', 'weights held', Infinity),
  pipelineCase('image to all outputs, budget', 'weights loaded in turn', 1),
];
