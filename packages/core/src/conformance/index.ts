/** The conformance suite: for any backend, every op over generated cases against its reference kernel. */
export * from './bad-input.ts';
export * from './case.ts';
export { NO_ERROR, type Comparison, type ErrorMetrics } from './compare.ts';
export { uploadInput, type CaseInput } from './layout.ts';
export * from './describe-backend.ts';
export * from './run-case.ts';
export * from './run.ts';
export { coreCases } from './core-cases.ts';
