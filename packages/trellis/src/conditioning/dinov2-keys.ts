/** Names of DINOv2 parameters in the two published forms of the weights. */
import { renamedStore, type StoredParts, type WeightStore } from '../checkpoints/weight-store.ts';
import type { DinoConfig } from '../models/config.ts';

/** Entries that only the Hugging Face conversion has. */
const CONVERSION_MARK = 'embeddings.cls_token';

const AFFINE = ['weight', 'bias'] as const;

/** The parts of each original name in the Hugging Face conversion, which stores q, k and v apart. */
export function convertedNames(config: DinoConfig): Map<string, StoredParts> {
  const names = new Map<string, StoredParts>([
    ['cls_token', ['embeddings.cls_token']],
    ['pos_embed', ['embeddings.position_embeddings']],
    ['register_tokens', ['embeddings.register_tokens']],
    ['mask_token', ['embeddings.mask_token']],
  ]);
  const affine = (original: string, ...converted: string[]): void => {
    for (const part of AFFINE) {
      names.set(
        `${original}.${part}`,
        converted.map((name) => `${name}.${part}`),
      );
    }
  };
  affine('patch_embed.proj', 'embeddings.patch_embeddings.projection');
  affine('norm', 'layernorm');
  for (let i = 0; i < config.depth; i++) {
    const [block, layer] = [`blocks.${i}`, `encoder.layer.${i}`];
    const heads = `${layer}.attention.attention`;
    affine(`${block}.norm1`, `${layer}.norm1`);
    affine(`${block}.attn.qkv`, `${heads}.query`, `${heads}.key`, `${heads}.value`);
    affine(`${block}.attn.proj`, `${layer}.attention.output.dense`);
    affine(`${block}.norm2`, `${layer}.norm2`);
    affine(`${block}.mlp.fc1`, `${layer}.mlp.fc1`);
    affine(`${block}.mlp.fc2`, `${layer}.mlp.fc2`);
    names.set(`${block}.ls1.gamma`, [`${layer}.layer_scale1.lambda1`]);
    names.set(`${block}.ls2.gamma`, [`${layer}.layer_scale2.lambda1`]);
  }
  return names;
}

/** The weights under their original names, whichever form the store has. */
export function dinoStore(store: WeightStore, config: DinoConfig): WeightStore {
  if (store.info(CONVERSION_MARK) === undefined) return store;
  return renamedStore(store, convertedNames(config));
}
