/** Stores, strict loading, and the errors of files that do not fit. */
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CheckpointError,
  createCpuDevice,
  writeSafetensors,
  type Device,
  type SafetensorsEntry,
} from '@pergola/core';
import {
  ClipTextModel,
  describeModel,
  DinoVisionTransformer,
  fileSource,
  loadParameters,
  loadWeight,
  openModelWeights,
  prefixed,
  readModelFile,
  renamedStore,
  safetensorsStore,
  torchArchiveStore,
  type DinoConfig,
  type ParameterSpec,
  type WeightStore,
} from '@pergola/trellis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { synthInput } from '../../../testdata/synthetic.ts';
import { storeOf, syntheticStore } from './golden.ts';

const TORCH = fileURLToPath(new URL('../../../testdata/torch/', import.meta.url));

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await createCpuDevice();
});
afterAll(() => device.dispose());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pergola-'));
});
afterEach(() => rm(folder, { recursive: true }));

function entry(name: string, shape: number[], values: number[]): SafetensorsEntry {
  return { name, dtype: 'f32', shape, data: Float32Array.from(values) };
}

async function writeStore(path: string, entries: SafetensorsEntry[]): Promise<void> {
  await writeFile(path, writeSafetensors(entries));
}

const SPECS: ParameterSpec[] = [
  { name: 'a.weight', shape: [2, 2], dtype: 'f16' },
  { name: 'a.bias', shape: [2], dtype: 'f32' },
  { name: 'extra', shape: [1], dtype: 'f32', unused: true },
];
const ENTRIES = [entry('a.weight', [2, 2], [1, 2, 3, 4]), entry('a.bias', [2], [5, 6])];

describe('files', () => {
  test('are read by ranges and closed', async () => {
    const path = join(folder, 'bytes');
    await writeFile(
      path,
      Uint8Array.from({ length: 100 }, (_, i) => i),
    );
    const source = await fileSource(path);
    expect(source.size).toBe(100);
    expect([...(await source.read(10, 3))]).toEqual([10, 11, 12]);
    expect((await source.read(98, 10)).length).toBe(2);
    await source.close();
    await source.close();
    await expect(source.read(0, 1)).rejects.toThrow();
  });

  test('that are missing or folders meet one sentence', async () => {
    const missing = join(folder, 'none.safetensors');
    await expect(fileSource(missing)).rejects.toThrow(`${missing}: the file does not exist.`);
    await expect(fileSource(folder)).rejects.toThrow(
      `${folder}: must be a file, got a folder or device.`,
    );
  });

  test('that end early say which tensor is cut', async () => {
    const path = join(folder, 'cut.safetensors');
    await writeStore(path, ENTRIES);
    const store = await safetensorsStore(await fileSource(path), path);
    await truncate(path, (await readFile(path)).length - 4);
    await expect(loadParameters(store, SPECS, device)).rejects.toThrow(/cut\.safetensors: .*trunc/);
    await store.close();
    await expect(safetensorsStore(await fileSource(path), path)).rejects.toThrow(CheckpointError);
  });
});

describe('strict loading', () => {
  let store: WeightStore;
  const load = async (entries: SafetensorsEntry[]) => {
    const path = join(folder, 'w.safetensors');
    await writeStore(path, entries);
    store = await safetensorsStore(await fileSource(path), path);
    return loadParameters(store, SPECS, device, { dtype: 'f16' });
  };

  test('puts the torso in the dtype asked for and keeps the rest f32', async () => {
    const before = device.memory().storages;
    // Loaded inside a scope, parameters outlive it.
    const { tensors } = await device.run(() => load(ENTRIES));
    expect(tensors.get('a.weight')!.dtype).toBe('f16');
    expect([...(await tensors.get('a.weight')!.floats())]).toEqual([1, 2, 3, 4]);
    expect(tensors.get('a.bias')!.dtype).toBe('f32');
    expect(tensors.size).toBe(2);
    for (const tensor of tensors.values()) tensor.dispose();
    expect(device.memory().storages).toBe(before);
    await store.close();
  });

  test('names what is missing, unexpected and misshapen', async () => {
    const before = device.memory().storages;
    const wrong = [entry('a.weight', [4], [1, 2, 3, 4]), entry('b', [1], [0])];
    await expect(load(wrong)).rejects.toThrow(
      `${join(folder, 'w.safetensors')}: parameter a.weight must be [2, 2], got [4]; parameter a.bias [2] is missing; parameter b [1] is not expected.`,
    );
    await store.close();
    expect(device.memory().storages).toBe(before);
  });

  test('shows a few of many problems', async () => {
    const many = Array.from({ length: 20 }, (_, i) => entry(`p${i}`, [1], [0]));
    await expect(load([...ENTRIES, ...many])).rejects.toThrow('and 14 more problems.');
    await store.close();
  });

  test('refuses integers where floats belong', async () => {
    const bias: SafetensorsEntry = {
      name: 'a.bias',
      dtype: 'i32',
      shape: [2],
      data: Int32Array.of(1, 2),
    };
    await expect(load([ENTRIES[0]!, bias])).rejects.toThrow(
      'parameter a.bias must be f32, f16 or bf16, got i32',
    );
    await store.close();
  });

  test('frees everything when a read fails or the caller stops', async () => {
    const before = device.memory().storages;
    const failing = storeOf('failing', SPECS.slice(0, 2), async (name) => {
      if (name === 'a.bias') throw new CheckpointError('failing: no disk.');
      return new Float32Array(4);
    });
    await expect(loadParameters(failing, SPECS, device)).rejects.toThrow('failing: no disk.');
    const controller = new AbortController();
    const stopped = loadParameters(syntheticStore(SPECS.slice(0, 2)), SPECS, device, {
      signal: controller.signal,
      onProgress: (done, total) => {
        expect([done, total]).toEqual([1, 2]);
        controller.abort();
      },
    });
    await expect(stopped).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    expect(device.memory().storages).toBe(before);
  });
});

describe('renamed stores', () => {
  const store = storeOf(
    'parts',
    [
      { name: 'q', shape: [1, 2], dtype: 'f32' },
      { name: 'k', shape: [2, 2], dtype: 'f32' },
      { name: 'old', shape: [1], dtype: 'f32' },
      { name: 'noise', shape: [1], dtype: 'f32' },
    ],
    async (name) => Float32Array.from({ q: [1, 2], k: [3, 4, 5, 6], old: [7] }[name] ?? [0]),
  );

  test('join parts along the first axis, rename and hide', async () => {
    const named = renamedStore(
      store,
      new Map([
        ['qk', ['q', 'k']],
        ['new', ['old']],
        ['absent', ['nowhere']],
      ]),
      (name) => name === 'noise',
    );
    expect(named.names).toEqual(['qk', 'new']);
    expect(named.info('qk')).toEqual({ dtype: 'f32', shape: [3, 2] });
    expect([...(await named.read('qk')).data]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...(await named.read('new')).data]).toEqual([7]);
    expect(named.info('absent')).toBeUndefined();
    await expect(named.read('absent')).rejects.toThrow(CheckpointError);
  });

  test('the converted image encoder equals the original', async () => {
    const config = describeModel(
      'DinoVisionTransformer',
      {
        img_size: 28,
        patch_size: 14,
        embed_dim: 12,
        depth: 2,
        num_heads: 2,
        num_register_tokens: 3,
      },
      'test',
    ).config as DinoConfig;
    const specs = DinoVisionTransformer.expectedParameters(config);
    const original = syntheticStore(specs);
    const converted = await convertDino(original, config);
    const outputs = [];
    for (const weights of [original, converted]) {
      using encoder = await DinoVisionTransformer.load(weights, config, device);
      using image = device.tensor(synthInput('img', [1, 3, 28, 28]), [1, 3, 28, 28]);
      const { raw, condition } = encoder.forward(image);
      outputs.push(await condition.floats());
      raw.dispose();
      condition.dispose();
    }
    expect(outputs[1]).toEqual(outputs[0]);
  });

  test('the text tower is found in a file of both towers', async () => {
    const config = {
      vocab_size: 9,
      hidden_size: 8,
      intermediate_size: 16,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      max_position_embeddings: 5,
      hidden_act: 'quick_gelu',
      layer_norm_eps: 1e-5,
    } as const;
    const specs = ClipTextModel.expectedParameters(config);
    const plain = syntheticStore(specs);
    const both = storeOf(
      'both',
      [
        ...prefixed('text_model', specs),
        { name: 'text_model.embeddings.position_ids', shape: [1, 5], dtype: 'f32' },
        { name: 'vision_model.x', shape: [2], dtype: 'f32' },
        { name: 'logit_scale', shape: [], dtype: 'f32' },
      ],
      async (name) => (await plain.read(name.replace('text_model.', ''))).data as Float32Array,
    );
    using encoder = await ClipTextModel.load(both, config, device);
    using out = encoder.forward([[1, 2, 3]]);
    expect(out.shape).toEqual([1, 3, 8]);
  });
});

/** The names and split projections of the Hugging Face conversion. */
async function convertDino(original: WeightStore, config: DinoConfig): Promise<WeightStore> {
  const width = config.embed_dim;
  const values = new Map<string, { shape: number[]; data: Float32Array }>();
  const put = async (from: string, to: string, part?: number): Promise<void> => {
    const { shape, data } = await original.read(from);
    const all = data as Float32Array;
    if (part === undefined) values.set(to, { shape: [...shape], data: all });
    else {
      const size = all.length / 3;
      const rest = shape.slice(1);
      values.set(to, { shape: [width, ...rest], data: all.slice(part * size, (part + 1) * size) });
    }
  };
  await put('cls_token', 'embeddings.cls_token');
  await put('pos_embed', 'embeddings.position_embeddings');
  await put('register_tokens', 'embeddings.register_tokens');
  await put('mask_token', 'embeddings.mask_token');
  for (const kind of ['weight', 'bias']) {
    await put(`patch_embed.proj.${kind}`, `embeddings.patch_embeddings.projection.${kind}`);
    await put(`norm.${kind}`, `layernorm.${kind}`);
  }
  for (let i = 0; i < config.depth; i++) {
    const [block, layer] = [`blocks.${i}`, `encoder.layer.${i}`];
    for (const kind of ['weight', 'bias']) {
      for (const [part, name] of ['query', 'key', 'value'].entries()) {
        await put(
          `${block}.attn.qkv.${kind}`,
          `${layer}.attention.attention.${name}.${kind}`,
          part,
        );
      }
      await put(`${block}.attn.proj.${kind}`, `${layer}.attention.output.dense.${kind}`);
      for (const name of ['norm1', 'norm2', 'mlp.fc1', 'mlp.fc2']) {
        await put(`${block}.${name}.${kind}`, `${layer}.${name}.${kind}`);
      }
    }
    await put(`${block}.ls1.gamma`, `${layer}.layer_scale1.lambda1`);
    await put(`${block}.ls2.gamma`, `${layer}.layer_scale2.lambda1`);
  }
  const specs = [...values].map(([name, { shape }]) => ({ name, shape, dtype: 'f32' as const }));
  return storeOf('converted', specs, async (name) => values.get(name)!.data);
}

describe('torch archives', () => {
  const open = async (name: string): Promise<WeightStore> =>
    torchArchiveStore(await fileSource(TORCH + name), name);

  test.each(['state-dict.pth', 'protocol-4.pth'])('%s', async (name) => {
    const store = await open(name);
    expect(store.names).toEqual(['weight', 'tail', 'half', 'steps', 'scale', 'brain']);
    expect(store.info('weight')).toMatchObject({ dtype: 'f32', shape: [2, 3] });
    expect([...(await store.read('weight')).data]).toEqual([0, 0.25, 0.5, 0.75, 1, 1.25]);
    // A parameter on the rest of the same storage.
    expect([...(await store.read('tail')).data]).toEqual([1.5, 1.75]);
    using half = await loadWeight(store, 'half', device, 'f32');
    expect([...(await half.floats())]).toEqual([1, -2, 0.5, 65504]);
    expect([...(await store.read('steps')).data]).toEqual([-3, 2147483647]);
    expect([...(await store.read('scale')).data]).toEqual([Math.fround(0.1)]);
    using brain = await loadWeight(store, 'brain', device, 'f32');
    expect([...(await brain.floats())]).toEqual([1, -2]);
    await store.close();
  });

  test('calls in a file are refused, not made', async () => {
    await expect(open('calls-system.pth')).rejects.toThrow(
      'calls-system.pth: pickle: posix.system is not part of a state dictionary.',
    );
  });

  test('what cannot be read meets one sentence', async () => {
    await expect(open('compressed.pth')).rejects.toThrow('must be stored without compression');
    await expect(open('strided.pth')).rejects.toThrow('tensor t must be contiguous');
    const path = join(folder, 'text.pth');
    await writeFile(path, 'not a zip archive, but long enough to hold an end record');
    await expect(torchArchiveStore(await fileSource(path), path)).rejects.toThrow(
      'zip: the file is not a zip archive.',
    );
  });

  test('no cut or flipped byte makes anything but a CheckpointError', async () => {
    const bytes = new Uint8Array(await readFile(`${TORCH}state-dict.pth`));
    const attempt = async (damaged: Uint8Array): Promise<void> => {
      const source = {
        size: damaged.length,
        read: async (offset: number, length: number) => damaged.slice(offset, offset + length),
        close: async () => {},
      };
      try {
        const store = await torchArchiveStore(source, 'damaged');
        for (const name of store.names) await store.read(name);
      } catch (error) {
        if (!(error instanceof CheckpointError)) throw error;
      }
    };
    for (let at = 0; at < bytes.length; at += 7) {
      await attempt(bytes.slice(0, at));
      for (const flip of [0x01, 0x80, 0xff]) {
        const damaged = bytes.slice();
        damaged[at]! ^= flip;
        await attempt(damaged);
      }
    }
  });
});

describe('model files', () => {
  const write = (name: string, value: unknown): Promise<void> =>
    writeFile(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));
  const flow = {
    resolution: 16,
    in_channels: 8,
    model_channels: 128,
    cond_channels: 12,
    out_channels: 8,
    num_blocks: 1,
  };

  test('missing arguments take the defaults of the published code', async () => {
    await write('m.json', { name: 'ElasticSLatFlowModel', args: { ...flow, patch_size: 1 } });
    const { name, config } = await readModelFile(join(folder, 'm'));
    expect(name).toBe('SLatFlowModel');
    expect(config).toMatchObject({
      num_heads: 2,
      mlp_ratio: 4,
      num_io_res_blocks: 2,
      io_block_channels: [],
      use_skip_connection: true,
      share_mod: false,
      qk_rms_norm: false,
    });
  });

  test('errors name the file, the field and what is wrong', async () => {
    const stem = join(folder, 'm');
    await write('m.json', '{ "name": ');
    await expect(readModelFile(stem)).rejects.toThrow(`${stem}.json: the file is not valid JSON.`);
    await write('m.json', { name: 'SLatPainter', args: {} });
    await expect(readModelFile(stem)).rejects.toThrow(/m\.json: name must be one of .*SLatPainter/);
    await write('m.json', { name: 'SparseStructureFlowModel', args: { ...flow, num_blocks: -1 } });
    await expect(readModelFile(stem)).rejects.toThrow(/m\.json: args: num_blocks: /);
    await write('m.json', { name: 'SparseStructureFlowModel', args: { ...flow, sparkle: 1 } });
    await expect(readModelFile(stem)).rejects.toThrow(/sparkle/);
    await write('m.json', { name: 'SparseStructureFlowModel', args: { ...flow, num_heads: 3 } });
    await expect(readModelFile(stem)).rejects.toThrow(
      'num_heads: must divide model_channels (128), got 3',
    );
    await write('m.json', { name: 'SLatFlowModel', args: flow });
    await expect(readModelFile(stem)).rejects.toThrow(
      'patch_size: must be 2 to the number of io_block_channels (1), got 2',
    );
  });

  test('what is not on this machine says what to do', async () => {
    await expect(readModelFile(join(folder, 'ckpts/none'))).rejects.toThrow(
      'none.json: the file does not exist; models are not downloaded, so put its files at that path or name another path in pipeline.json.',
    );
    await expect(readModelFile(join(folder, 'dinov2_vitl14_reg'))).rejects.toThrow(
      `put dinov2_vitl14_reg4_pretrain.pth or dinov2-with-registers-large/model.safetensors into ${folder}`,
    );
  });

  test('the released image encoder is found by the name that pipelines use', async () => {
    await mkdir(join(folder, 'dinov2-with-registers-large'));
    await writeStore(join(folder, 'dinov2-with-registers-large/model.safetensors'), ENTRIES);
    const stem = join(folder, 'dinov2_vitl14_reg');
    const { name, config } = await readModelFile(stem);
    expect(name).toBe('DinoVisionTransformer');
    expect(config).toMatchObject({ embed_dim: 1024, depth: 24, img_size: 518 });
    const store = await openModelWeights(stem);
    expect(store.names).toContain('a.weight');
    await store.close();
  });

  test('folders of conversions are read by their config.json', async () => {
    const stem = join(folder, 'openai/clip-vit-large-patch14');
    await mkdir(stem, { recursive: true });
    const text_config = { hidden_size: 768, intermediate_size: 3072, num_attention_heads: 12 };
    await write('openai/clip-vit-large-patch14/config.json', { model_type: 'clip', text_config });
    const { name, config } = await readModelFile(stem);
    expect(name).toBe('CLIPTextModel');
    expect(config).toMatchObject({ hidden_size: 768, vocab_size: 49408, num_hidden_layers: 12 });
    await write('openai/clip-vit-large-patch14/config.json', { model_type: 'bert' });
    await expect(readModelFile(stem)).rejects.toThrow('model_type must be clip,');
  });
});
