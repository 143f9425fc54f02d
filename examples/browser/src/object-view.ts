/** One object on a canvas, turned by dragging. Draws when something changes, not all the time. */
import { OrbitControls } from 'three/addons/controls/OrbitControls.js';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';
import { GaussianSplatPLYLoader } from 'three/addons/loaders/GaussianSplatPLYLoader.js';
import { GaussianSplat } from 'three/addons/objects/GaussianSplat.js';
import {
  DirectionalLight,
  HemisphereLight,
  LinearSRGBColorSpace,
  Mesh,
  PerspectiveCamera,
  Scene,
  WebGPURenderer,
  type Object3D,
} from 'three/webgpu';

const FIELD_OF_VIEW = 35;
/** Width over height below which a view opens wider, so that nothing is cut off at its sides. */
const NARROW = 0.8;

/** A view of one object. Objects fill the unit cube about the origin, y up. */
export class ObjectView {
  readonly #renderer: WebGPURenderer;
  readonly #scene = new Scene();
  readonly #camera = new PerspectiveCamera(FIELD_OF_VIEW, 1, 0.05, 20);
  readonly #controls: OrbitControls;
  #object: Object3D | undefined;
  #drawn: Promise<void> | undefined;

  private constructor(renderer: WebGPURenderer, canvas: HTMLCanvasElement) {
    this.#renderer = renderer;
    this.#camera.position.set(-1.25, 0.75, 1.6);
    // What falls on an object from around it; white albedo stays just below white.
    const light = new DirectionalLight(0xffffff, 1.6);
    light.position.set(-1, 2, 3);
    this.#scene.add(new HemisphereLight(0xffffff, 0xb8b4ac, 1.9), light);
    this.#controls = new OrbitControls(this.#camera, canvas);
    this.#controls.addEventListener('change', () => void this.#draw());
    this.#controls.update();
    new ResizeObserver(() => this.#resize(canvas)).observe(canvas);
  }

  /** Opens a view on WebGPU, or on WebGL 2 where there is none. */
  static async open(canvas: HTMLCanvasElement): Promise<ObjectView> {
    const renderer = new WebGPURenderer({ canvas, antialias: true, alpha: true });
    await renderer.init();
    return new ObjectView(renderer, canvas);
  }

  /** Keeps two views at the same angle. */
  follow(other: ObjectView): void {
    other.#controls.addEventListener('change', () => {
      if (this.#camera.position.equals(other.#camera.position)) return;
      this.#camera.position.copy(other.#camera.position);
      this.#controls.target.copy(other.#controls.target);
      this.#controls.update();
      void this.#draw();
    });
  }

  /** Shows a mesh, the content of a GLB file; it is drawn when the promise resolves. */
  async showMesh(glb: ArrayBuffer): Promise<void> {
    const { scene } = await new GLTFLoader().parseAsync(glb, '');
    return this.#replace(scene);
  }

  /** Shows splats, the content of a PLY file; they are drawn when the promise resolves. */
  async showSplats(ply: ArrayBuffer): Promise<void> {
    // Splats hold colours as displayed and are blended as such.
    this.#renderer.outputColorSpace = LinearSRGBColorSpace;
    const splats = new GaussianSplat(new GaussianSplatPLYLoader().parse(ply));
    // Files of splats have their y axis pointing down.
    splats.rotation.x = Math.PI;
    return this.#replace(splats);
  }

  #replace(object: Object3D): Promise<void> {
    this.#object?.removeFromParent();
    this.#object?.traverse((part) => {
      if (part instanceof Mesh) part.geometry.dispose();
    });
    this.#object = object;
    this.#scene.add(object);
    return this.#draw();
  }

  #resize(canvas: HTMLCanvasElement): void {
    const { clientWidth, clientHeight } = canvas;
    if (clientWidth === 0 || clientHeight === 0) return;
    this.#renderer.setPixelRatio(devicePixelRatio);
    this.#renderer.setSize(clientWidth, clientHeight, false);
    const aspect = clientWidth / clientHeight;
    const slope = Math.tan(((FIELD_OF_VIEW / 2) * Math.PI) / 180) * Math.max(1, NARROW / aspect);
    this.#camera.aspect = aspect;
    this.#camera.fov = (2 * Math.atan(slope) * 180) / Math.PI;
    this.#camera.updateProjectionMatrix();
    void this.#draw();
  }

  /** Draws with the next frame. */
  #draw(): Promise<void> {
    return (this.#drawn ??= new Promise((resolve, reject) => {
      requestAnimationFrame(() => {
        this.#drawn = undefined;
        try {
          this.#renderer.render(this.#scene, this.#camera);
          resolve();
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    }));
  }
}
