/**
 * A picture to all outputs with networks of published size and synthetic weights.
 *
 * What such weights sample is noise, so the second stage and the decoders run on the benchmark shell instead of the
 * structure that the first stage found, and no surface is extracted from the mesh decoder's cells.
 */
import { TorchGenerator, type Device } from '@pergola/core';
import {
  decodeOccupancy,
  EmptyStructureError,
  sampleLatent,
  sampleStructure,
  structureNoise,
  type DinoVisionTransformer,
  type SLatFlowModel,
  type SLatGaussianDecoder,
  type SLatMeshDecoder,
  type SLatRadianceFieldDecoder,
  type SparseStructureDecoder,
  type SparseStructureFlowModel,
} from '@pergola/trellis';
import type { GpuCase } from './case.ts';
import { loadPublished, randomTensor, shellLatents } from './network-cases.ts';
import { PUBLISHED_SAMPLER } from './published-networks.ts';

const NORMALIZATION = { mean: new Array<number>(8).fill(0), std: new Array<number>(8).fill(1) };

async function loadAll(device: Device) {
  return {
    encoder: await loadPublished<DinoVisionTransformer>('DinoVisionTransformer', device),
    structureFlow: await loadPublished<SparseStructureFlowModel>(
      'SparseStructureFlowModel',
      device,
    ),
    occupancy: await loadPublished<SparseStructureDecoder>('SparseStructureDecoder', device),
    latentFlow: await loadPublished<SLatFlowModel>('SLatFlowModel', device),
    gaussians: await loadPublished<SLatGaussianDecoder>('SLatGaussianDecoder', device),
    field: await loadPublished<SLatRadianceFieldDecoder>('SLatRadianceFieldDecoder', device),
    mesh: await loadPublished<SLatMeshDecoder>('SLatMeshDecoder', device),
  };
}

export const PIPELINE_CASE: GpuCase = {
  figure: 'image to all outputs',
  detail: '25 + 25 steps, decoders on the shell, without surface extraction',
  async prepare(device) {
    const networks = await loadAll(device);
    const image = randomTensor(device, [1, 3, 518, 518]);
    const shell = await shellLatents(device);
    return {
      async run() {
        const { condition } = networks.encoder.forward(image);
        const conditioning = { positive: [condition], negative: 'zeros' } as const;
        const options = { sampler: PUBLISHED_SAMPLER };
        const { structureFlow, latentFlow } = networks;
        const generator = new TorchGenerator(1);
        const noise = structureNoise(generator, structureFlow.config, 1, device);
        const latent = await sampleStructure(structureFlow, noise, conditioning, options);
        try {
          (await decodeOccupancy(networks.occupancy, latent)).dispose();
        } catch (error) {
          if (!(error instanceof EmptyStructureError)) throw error;
        }
        const sampled = await sampleLatent(
          latentFlow,
          shell.structure,
          shell.feats,
          conditioning,
          NORMALIZATION,
          options,
        );
        await networks.gaussians.decode(sampled);
        await networks.field.decode(sampled);
        const cells = await networks.mesh.forward(sampled);
        await cells.feats.data();
      },
      dispose() {
        for (const network of Object.values(networks)) network.dispose();
        for (const resource of [image, shell.feats, shell.structure]) resource.dispose();
      },
    };
  },
};
