/** Whole networks of published size with synthetic weights: one forward pass each. */
import {
  bytesPerElement,
  canRecord,
  recordStep,
  sizeOf,
  type Device,
  type Tensor,
} from '@pergola/core';
import { SparseStructure, SparseTensor } from '@pergola/sparse';
import {
  describeModel,
  NETWORK_CLASSES,
  TimeSlot,
  type NetworkClass,
  type NetworkSource,
  type NetworksByName,
} from '@pergola/trellis';
import { fillUniform } from '../contenders.ts';
import { voxelShell } from '../voxel-shell.ts';
import type { GpuCase, PreparedCase } from './case.ts';
import type { FigureName } from './figures.ts';
import { IMAGE_TOKENS, PUBLISHED_NETWORKS, type PublishedName } from './published-networks.ts';
import { syntheticWeights } from './synthetic-weights.ts';

/** Channels of a condition token. */
export const CONDITION_CHANNELS = 1024;
const TIME = 700;

/** A network of published size with synthetic weights, its torso in f16. */
export function publishedNetwork<Name extends PublishedName>(
  name: Name,
  device: Device,
): NetworkSource<NetworksByName[Name]> {
  const { config } = describeModel(name, PUBLISHED_NETWORKS[name], name);
  const network = NETWORK_CLASSES[name] as unknown as NetworkClass<
    typeof config,
    NetworksByName[Name]
  >;
  const specs = network.expectedParameters(config);
  return {
    bytes: specs.reduce((sum, { shape, dtype }) => sum + sizeOf(shape) * bytesPerElement(dtype), 0),
    load: () => network.load(syntheticWeights(specs), config, device, { dtype: 'f16' }),
  };
}

/** f32 of about unit variance. */
export function randomTensor(device: Device, shape: readonly number[]): Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  return device.tensor(
    fillUniform(count).map((value) => value * 1.7),
    shape,
  );
}

/** Latents of 8 channels on the benchmark shell. */
export async function shellLatents(device: Device): Promise<SparseTensor> {
  const coords = voxelShell();
  using tensor = device.tensor(coords, [coords.length / 4, 4]);
  const structure = await SparseStructure.create(tensor);
  return new SparseTensor(structure, randomTensor(device, [structure.count, 8]));
}

type Way = 'enqueued' | 'recorded';

/** Operations of everything that `body` executes, by the estimates of the ops. */
function countFlops(device: Device, body: () => unknown): number {
  let flops = 0;
  device.onExecute = ({ cost }) => {
    flops += cost.flops;
  };
  try {
    device.run(() => void body());
  } finally {
    device.onExecute = undefined;
  }
  return flops;
}

/** A synchronous pass, enqueued anew each time or replayed from a recording. */
function passCase(
  device: Device,
  way: Way,
  body: () => Tensor,
  owned: readonly { dispose(): void }[],
): PreparedCase {
  // Also the pass in which kernels are chosen, which a recording cannot hold.
  const flops = countFlops(device, body);
  if (way === 'enqueued') {
    return { flops, run: body, dispose: () => owned.forEach((resource) => resource.dispose()) };
  }
  const step = recordStep(device, body);
  step.result.keep();
  return {
    flops,
    run: () => step.replay(),
    dispose: () => {
      step.result.dispose();
      step.dispose();
      for (const resource of owned) resource.dispose();
    },
  };
}

function flowCases(): GpuCase[] {
  return (['enqueued', 'recorded'] as const).flatMap((way): GpuCase[] => [
    {
      figure: 'structure flow',
      detail: `4096 tokens, ${IMAGE_TOKENS} of context, ${way}`,
      async prepare(device) {
        const flow = await publishedNetwork('SparseStructureFlowModel', device).load();
        const x = randomTensor(device, [1, 8, 16, 16, 16]);
        using tokens = randomTensor(device, [1, IMAGE_TOKENS, CONDITION_CHANNELS]);
        const condition = flow.prepareCondition(tokens);
        const time = new TimeSlot(device, 1);
        time.set(TIME);
        const body = (): Tensor => flow.forward(x, time, condition);
        return passCase(device, way, body, [flow, x, condition, time]);
      },
    },
    {
      figure: 'latent flow',
      detail: `shell, ${IMAGE_TOKENS} of context, ${way}`,
      async prepare(device) {
        const flow = await publishedNetwork('SLatFlowModel', device).load();
        const x = await shellLatents(device);
        using tokens = randomTensor(device, [1, IMAGE_TOKENS, CONDITION_CHANNELS]);
        const condition = flow.prepareCondition(tokens);
        const time = new TimeSlot(device, 1);
        time.set(TIME);
        const pyramid = await flow.prepare(x.structure);
        const body = (): Tensor => flow.velocity(x.feats, time, condition, pyramid);
        return passCase(device, way, body, [flow, x.feats, x.structure, condition, time]);
      },
    },
  ]);
}

const occupancyCase: GpuCase = {
  figure: 'occupancy decoder',
  detail: '16^3 latents to 64^3 logits',
  async prepare(device) {
    const decoder = await publishedNetwork('SparseStructureDecoder', device).load();
    const latent = randomTensor(device, [1, 8, 16, 16, 16]);
    return {
      run: () => decoder.forward(latent),
      dispose: () => [decoder, latent].forEach((resource) => resource.dispose()),
    };
  },
};

function decoderCase(
  figure: FigureName,
  name: 'SLatGaussianDecoder' | 'SLatMeshDecoder',
  detail: string,
): GpuCase {
  return {
    figure,
    detail,
    async prepare(device) {
      const decoder = await publishedNetwork(name, device).load();
      const x = await shellLatents(device);
      return {
        run: () => decoder.forward(x),
        dispose: () => [decoder, x.feats, x.structure].forEach((resource) => resource.dispose()),
      };
    },
  };
}

/** The networks; recorded passes only where the device records. */
export function networkCases(device: Device): GpuCase[] {
  const cases = [
    ...flowCases(),
    occupancyCase,
    decoderCase('Gaussian decoder', 'SLatGaussianDecoder', 'shell, output layer included'),
    decoderCase('mesh decoder', 'SLatMeshDecoder', 'shell, to cell features at 256^3'),
  ];
  return cases.filter(({ detail }) => canRecord(device) || !detail.endsWith('recorded'));
}
