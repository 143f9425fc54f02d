/** What an adapter offers, and what a device asks of it. */

/** A matrix shape that the subgroup-matrix units multiply: `[M, K] x [K, N]`. */
export interface SubgroupMatrixConfig {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly componentType: string;
  readonly resultComponentType: string;
}

/** What kernels may rely on when they choose a strategy. */
export interface Capabilities {
  /** One line: vendor, architecture, device, driver. */
  readonly description: string;
  readonly vendor: string;
  readonly architecture: string;
  /** A software rasteriser: correct, slow, and slowest at workgroup barriers. */
  readonly software: boolean;
  /** Shaders may hold `f16`; otherwise f16 tensors are read and written as packed words. */
  readonly f16: boolean;
  readonly subgroups: boolean;
  /** Smallest and largest subgroup; 0 without subgroups. */
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  /** Empty where the adapter has no matrix units, or does not show them. */
  readonly subgroupMatrix: readonly SubgroupMatrixConfig[];
  readonly timestamps: boolean;
  /** Largest tensor: the smaller of the buffer and the storage binding limit. */
  readonly maxTensorBytes: number;
  readonly maxStorageBuffers: number;
  readonly workgroupBytes: number;
  readonly maxInvocations: number;
  /** Workgroups along one dimension of a dispatch. */
  readonly maxGroups: number;
  /** Optional features that the device was made with. */
  readonly features: readonly string[];
}

/** Optional features that some kernel profits from. */
export const WANTED_FEATURES: readonly string[] = [
  'shader-f16',
  'subgroups',
  'timestamp-query',
  'chromium-experimental-subgroup-matrix',
];

/** Limits that compute work meets; the rest stays at the defaults. */
const COMPUTE_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
] as const;

/** Features of `adapter` worth asking for, less those the caller does without. */
export function wantedFeatures(adapter: GPUAdapter, without: readonly string[]): GPUFeatureName[] {
  const names = WANTED_FEATURES.filter(
    (name) => adapter.features.has(name) && !without.includes(name),
  );
  return names as GPUFeatureName[];
}

/** The adapter's own limits: a device asked for without them gets the small defaults of the specification. */
export function wantedLimits(adapter: GPUAdapter): Record<string, number> {
  return Object.fromEntries(COMPUTE_LIMITS.map((name) => [name, adapter.limits[name]]));
}

interface ExtendedAdapterInfo {
  readonly subgroupMinSize?: number;
  readonly subgroupMaxSize?: number;
  readonly isFallbackAdapter?: boolean;
  readonly subgroupMatrixConfigs?: Iterable<SubgroupMatrixConfig>;
}

/** Reads what `device` can do; `info` comes from its adapter. */
export function readCapabilities(device: GPUDevice, info: GPUAdapterInfo): Capabilities {
  const extended = info as ExtendedAdapterInfo;
  const subgroups = device.features.has('subgroups');
  const matrix = device.features.has('chromium-experimental-subgroup-matrix');
  const { limits } = device;
  const parts = [info.vendor, info.architecture, info.device, info.description];
  return {
    description: parts.filter((part) => part !== '').join(' '),
    vendor: info.vendor,
    architecture: info.architecture,
    software: info.architecture === 'swiftshader' || extended.isFallbackAdapter === true,
    f16: device.features.has('shader-f16'),
    subgroups,
    subgroupMinSize: subgroups ? (extended.subgroupMinSize ?? 4) : 0,
    subgroupMaxSize: subgroups ? (extended.subgroupMaxSize ?? 128) : 0,
    subgroupMatrix: matrix
      ? [...(extended.subgroupMatrixConfigs ?? [])].map(
          ({ M, N, K, componentType, resultComponentType }) => ({
            M,
            N,
            K,
            componentType,
            resultComponentType,
          }),
        )
      : [],
    timestamps: device.features.has('timestamp-query'),
    maxTensorBytes: Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize),
    maxStorageBuffers: limits.maxStorageBuffersPerShaderStage,
    workgroupBytes: limits.maxComputeWorkgroupStorageSize,
    maxInvocations: limits.maxComputeInvocationsPerWorkgroup,
    maxGroups: limits.maxComputeWorkgroupsPerDimension,
    features: WANTED_FEATURES.filter((name) => device.features.has(name)),
  };
}
