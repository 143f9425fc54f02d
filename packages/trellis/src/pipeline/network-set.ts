/**
 * The networks of a pipeline and when they are on the device: all of them all the time, or, under a memory budget that
 * does not hold all, each only while its stage runs.
 */
import { InputError, LifetimeError } from '@pergola/core';
import type { Network } from '../models/network.ts';

/** A network that can be loaded any number of times. */
export interface NetworkSource<N extends Network = Network> {
  /** Device memory that its weights take. */
  readonly bytes: number;
  load(signal?: AbortSignal): Promise<N>;
}

/** A source for each role. */
export type NetworkSources<Roles extends Record<string, Network>> = {
  readonly [Role in keyof Roles]: NetworkSource<Roles[Role]>;
};

/** Options of `NetworkSet.open`. */
export interface NetworkSetOptions {
  /**
   * Device memory for weights in bytes. Below the sum of all networks, each is loaded before its stage and dropped
   * after it; a single network may exceed the budget. Default: no limit.
   */
  readonly memoryBudget?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a stage needs of a set. */
export interface NetworkAccess<Roles extends Record<string, Network>> {
  has(role: keyof Roles): boolean;
  use<Role extends keyof Roles, T>(
    role: Role,
    stage: (network: Roles[Role]) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T>;
}

/** Networks by role. */
export class NetworkSet<Roles extends Record<string, Network>> implements NetworkAccess<Roles> {
  readonly #sources: NetworkSources<Roles>;
  /** Networks that stay loaded; absent under a tight budget. */
  readonly #resident: Partial<Roles> = {};
  #disposed = false;

  private constructor(sources: NetworkSources<Roles>) {
    this.#sources = sources;
  }

  /**
   * Loads all networks if the budget holds them. On failure nothing stays allocated.
   *
   * @throws InputError for a budget that is no positive number, and what loading throws.
   */
  static async open<Roles extends Record<string, Network>>(
    sources: NetworkSources<Roles>,
    { memoryBudget = Infinity, signal }: NetworkSetOptions = {},
  ): Promise<NetworkSet<Roles>> {
    if (!(memoryBudget > 0)) {
      throw new InputError(
        `memoryBudget: must be a positive number of bytes, got ${String(memoryBudget)}.`,
      );
    }
    const set = new NetworkSet<Roles>(sources);
    if (set.bytes > memoryBudget) return set;
    try {
      for (const role of set.roles) set.#resident[role] = await sources[role].load(signal);
    } catch (error) {
      set.dispose();
      throw error;
    }
    return set;
  }

  get roles(): (keyof Roles)[] {
    return Object.keys(this.#sources);
  }

  has(role: keyof Roles): boolean {
    return this.#sources[role] !== undefined;
  }

  /** Device memory of all networks together. */
  get bytes(): number {
    return this.roles.reduce((sum, role) => sum + this.#sources[role].bytes, 0);
  }

  /** Runs a stage with its network, which is loaded for it and dropped after it unless it stays loaded anyway. */
  async use<Role extends keyof Roles, T>(
    role: Role,
    stage: (network: Roles[Role]) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const resident = this.#resident[role];
    if (resident !== undefined) return stage(resident);
    if (this.#disposed)
      throw new LifetimeError('pipeline: was disposed and can no longer be used.');
    const network = await this.#sources[role].load(signal);
    try {
      return await stage(network);
    } finally {
      network.dispose();
    }
  }

  /** Frees every loaded network. Safe to call twice. */
  dispose(): void {
    this.#disposed = true;
    for (const role of this.roles) {
      this.#resident[role]?.dispose();
      delete this.#resident[role];
    }
  }
}
