/** ONNX Runtime (its WebAssembly build) as the well-kept library to measure against. */
import * as ort from 'onnxruntime-web';
import type { Contender } from './runner.ts';
import { encodeOnnxModel, type OnnxNode, type OnnxValue } from './onnx-model.ts';

/** A contender that runs a float32 graph on inputs filled with `fill`. One thread count per process. */
export async function onnxContender(
  name: string,
  nodes: readonly OnnxNode[],
  inputs: readonly OnnxValue[],
  output: OnnxValue,
  fill: (length: number) => Float32Array,
): Promise<Contender> {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(encodeOnnxModel(nodes, inputs, [output]), {
    executionProviders: ['wasm'],
  });
  const feeds: Record<string, ort.Tensor> = {};
  for (const { name: input, shape } of inputs) {
    const length = shape.reduce((product, extent) => product * extent, 1);
    feeds[input] = new ort.Tensor('float32', fill(length), [...shape]);
  }
  return {
    name,
    async run() {
      const results = await session.run(feeds);
      results[output.name]!.dispose();
    },
    dispose: () => session.release(),
  };
}
