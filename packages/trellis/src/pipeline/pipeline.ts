/** What the pipelines for pictures and for text have in common: their networks, and the frame of a run. */
import type { Device } from '@pergola/core';
import type { Network } from '../models/network.ts';
import type { Asset } from './asset.ts';
import { inTurn } from './device-queue.ts';
import {
  checkGenerateOptions,
  generateAssets,
  type GenerateOptions,
  type GenerationNetworks,
  type GenerationSettings,
} from './generation.ts';
import type { NetworkAccess, NetworkSet } from './network-set.ts';
import { singleStep } from './progress.ts';
import type { Conditioning } from './stages.ts';

/**
 * A loaded pipeline.
 *
 * Runs on one device take turns, so a run may be started before an earlier one has ended. After each run the device
 * holds what it held before.
 */
export abstract class Pipeline<
  Networks extends GenerationNetworks & Record<string, Network>,
> implements Disposable {
  readonly device: Device;
  readonly settings: GenerationSettings;
  protected readonly networks: NetworkSet<Networks>;

  protected constructor(
    device: Device,
    networks: NetworkSet<Networks>,
    settings: GenerationSettings,
  ) {
    this.device = device;
    this.networks = networks;
    this.settings = settings;
  }

  /** Device memory of all weights when they are loaded. */
  get weightBytes(): number {
    return this.networks.bytes;
  }

  /**
   * One run: checks the options, waits for its turn, encodes, and generates.
   *
   * @param who for messages.
   * @param encode makes the condition; runs in the scope of the run.
   */
  protected async generate(
    who: string,
    options: GenerateOptions,
    encode: () => Promise<Conditioning>,
  ): Promise<Asset[]> {
    const networks: NetworkAccess<GenerationNetworks> = this.networks;
    const checked = checkGenerateOptions(who, networks, options);
    return inTurn(this.device, () =>
      this.device.run(async () => {
        options.signal?.throwIfAborted();
        const conditioning = await singleStep('condition', options, encode);
        return generateAssets(this.device, networks, this.settings, conditioning, {
          ...options,
          ...checked,
        });
      }),
    );
  }

  /** Frees the weights. Safe to call twice. */
  dispose(): void {
    this.networks.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
