/** The few parts of untyped development packages that the tests call. */
declare module 'gltf-validator' {
  export function validateBytes(bytes: Uint8Array): Promise<{
    issues: {
      numErrors: number;
      numWarnings: number;
      messages: { code: string; message: string; pointer: string }[];
    };
    info: { totalVertexCount: number; totalTriangleCount: number };
  }>;
}

declare module 'three/addons/loaders/GLTFLoader.js' {
  interface Attribute {
    readonly array: ArrayLike<number>;
    readonly itemSize: number;
    readonly count: number;
  }
  interface Object3D {
    readonly isMesh?: boolean;
    readonly geometry: {
      readonly index: Attribute;
      readonly attributes: Record<string, Attribute>;
    };
    readonly material: { metalness: number; roughness: number; vertexColors: boolean };
    traverse(visit: (object: Object3D) => void): void;
  }
  export class GLTFLoader {
    parseAsync(bytes: ArrayBufferLike, path: string): Promise<{ scene: Object3D }>;
  }
}

declare module 'three/addons/loaders/SPZLoader.js' {
  export class SPZLoader {
    parse(bytes: ArrayBufferLike): {
      readonly attributes: Record<
        string,
        { readonly array: ArrayLike<number>; readonly itemSize: number }
      >;
    };
  }
}
