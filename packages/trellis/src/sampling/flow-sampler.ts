/** The samplers that a pipeline configuration names, and their call parameters. */
import { InputError, type Tensor } from '@pergola/core';
import { integrateFlow, type IntegrationOptions } from './flow-euler.ts';
import {
  guidedVelocity,
  networkTime,
  type ConditionedVelocity,
  type GuidanceOptions,
  type MultiConditionMode,
} from './guidance.ts';

/**
 * Published sampler classes: without guidance, with guidance at every step, with guidance in an interval of time.
 */
export type FlowSamplerName =
  | 'FlowEulerSampler'
  | 'FlowEulerCfgSampler'
  | 'FlowEulerGuidanceIntervalSampler';

export const FLOW_SAMPLER_NAMES: readonly FlowSamplerName[] = [
  'FlowEulerSampler',
  'FlowEulerCfgSampler',
  'FlowEulerGuidanceIntervalSampler',
];

/** What a caller may set per run. */
export interface FlowSamplerParams {
  readonly steps: number;
  /** See `timeGrid`. */
  readonly rescaleT: number;
  /** See `GuidanceOptions.strength`. */
  readonly cfgStrength: number;
  /** See `GuidanceOptions.interval`. */
  readonly cfgInterval: readonly [low: number, high: number];
}

/** What the published code takes when a pipeline file says nothing. */
export const FLOW_SAMPLER_DEFAULTS: FlowSamplerParams = {
  steps: 50,
  rescaleT: 1,
  cfgStrength: 3,
  cfgInterval: [0, 1],
};

/** A sampler with the defaults of its pipeline. */
export interface FlowSampler {
  readonly name: FlowSamplerName;
  /** Noise left at the end of the path. */
  readonly sigmaMin: number;
  readonly params: FlowSamplerParams;
}

/** One run of a sampler. */
export interface SampleRequest<Condition>
  extends
    Pick<IntegrationOptions, 'onStep' | 'signal'>,
    Pick<GuidanceOptions<Condition>, 'conditions'> {
  /** The negative condition; samplers with guidance need it. */
  readonly negative?: Condition | undefined;
  /** See `GuidanceOptions.mode`. */
  readonly mode?: MultiConditionMode | undefined;
  /**
   * Puts the time, times 1000, where a synchronous network reads it instead of its argument: then devices that can do
   * so record steps and replay them.
   */
  readonly setTime?: ((time: number) => void) | undefined;
  /** Overrides of the sampler's defaults; `undefined` fields override nothing. */
  readonly params?: {
    readonly [Key in keyof FlowSamplerParams]?: FlowSamplerParams[Key] | undefined;
  };
}

/** The sampler's parameters under the given overrides. */
export function mergedParams(
  sampler: FlowSampler,
  overrides: SampleRequest<unknown>['params'] = {},
): FlowSamplerParams {
  const given = Object.entries(overrides).filter(([, value]) => value !== undefined);
  return { ...sampler.params, ...Object.fromEntries(given) };
}

/**
 * Draws a sample: follows the network's flow from noise to data.
 *
 * The state is one tensor: a dense latent, or the features of a sparse one (`network` puts them on their structure).
 *
 * @param noise f32 state at t = 1; stays the caller's.
 * @returns the sample, of the shape of `noise`.
 * @throws InputError for bad parameters or a missing negative condition; the signal's reason when aborted.
 */
export async function sampleFlow<Condition>(
  sampler: FlowSampler,
  network: ConditionedVelocity<Condition>,
  noise: Tensor,
  request: SampleRequest<Condition>,
): Promise<Tensor> {
  const { steps, rescaleT, cfgStrength, cfgInterval } = mergedParams(sampler, request.params);
  const guided = sampler.name !== 'FlowEulerSampler';
  if (guided && request.negative === undefined) {
    throw new InputError(`${sampler.name}: negative must be a condition, got none.`);
  }
  const { velocity, workOf } = guidedVelocity(network, {
    conditions: request.conditions,
    negative: guided ? request.negative : undefined,
    strength: cfgStrength,
    interval: sampler.name === 'FlowEulerGuidanceIntervalSampler' ? cfgInterval : [0, 1],
    mode: request.mode ?? 'stochastic',
  });
  const { onStep, signal, setTime } = request;
  return integrateFlow(velocity, noise, {
    steps,
    rescaleT,
    sigmaMin: sampler.sigmaMin,
    onStep,
    signal,
    recording: setTime && { setTime: (t) => setTime(networkTime(t)), workOf },
  });
}
