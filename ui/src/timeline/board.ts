// The canvas: what it shows, a frame drawn when something moved, pictures of the whole. hands.ts moves it.

import type { States } from "../lib/types";
import { type Colours, coloursNow } from "./colours";
import { Hands } from "./hands";
import type { Hit } from "./hits";
import { type Line, type Model, visible } from "./model";
import { paint } from "./paint";
import { CanvasPen, SvgPen } from "./pen";
import { AXIS, mostTop, ROW, type Scene, seen, tOf } from "./scene";

export interface Told {
  /** the window was moved to; `settled` once the hand rests */
  window(t0: number, t1: number): void;
  /** a line was opened (click, Enter); with the marks under the pointer */
  opened(line: Line, hit: Hit | null): void;
  hovered(hit: Hit | null, x: number, y: number): void;
  /** the line that the keyboard is on */
  chosen(line: Line | null): void;
  /** other lines came into sight */
  scrolled(): void;
}

const LEAST_MS = 5;
const NARROW = 640;

export class BoardCanvas {
  readonly scene: Scene;
  private colours: Colours = coloursNow();
  private frame = 0;
  private pen: CanvasPen | null = null;
  private readonly resizing: ResizeObserver;
  /** of the last frames, ms: for measurements */
  readonly frames: number[] = [];

  constructor(
    private readonly canvas: HTMLCanvasElement,
    readonly told: Told,
    model: Model,
  ) {
    this.scene = {
      model,
      lines: visible(model.roots, new Set()),
      closed: new Set(),
      states: new Map(),
      t0: 0,
      t1: 1,
      top: 0,
      width: 1,
      height: 1,
      label: 280,
      chosen: -1,
      hover: null,
    };
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(canvas);
    new Hands(this, canvas);
  }

  destroy(): void {
    this.resizing.disconnect();
    cancelAnimationFrame(this.frame);
  }

  // --- what is shown ---

  show(model: Model): void {
    this.scene.model = model;
    this.relist();
  }

  window(t0: number, t1: number): void {
    this.scene.t0 = t0;
    this.scene.t1 = Math.max(t1, t0 + LEAST_MS);
    this.redraw();
  }

  states(states: ReadonlyMap<string, States["segments"]>): void {
    this.scene.states = states;
    this.redraw();
  }

  recolour(): void {
    this.colours = coloursNow();
    this.redraw();
  }

  toggle(line: Line): void {
    const closed = new Set(this.scene.closed);
    if (!closed.delete(line.id)) closed.add(line.id);
    this.scene.closed = closed;
    this.relist();
  }

  /** Closes all groups, or opens them. */
  fold(all: boolean): void {
    const closed = new Set<string>();
    const walk = (line: Line) => {
      if (line.children.length) closed.add(line.id);
      line.children.forEach(walk);
    };
    if (all) this.scene.model.roots.forEach(walk);
    this.scene.closed = closed;
    this.relist();
  }

  /** The lines to be seen now. */
  inSight(): Line[] {
    const [first, last] = seen(this.scene);
    return this.scene.lines.slice(first, last + 1);
  }

  private relist(): void {
    this.scene.lines = visible(this.scene.model.roots, this.scene.closed);
    this.scene.chosen = Math.min(this.scene.chosen, this.scene.lines.length - 1);
    this.scroll(this.scene.top);
  }

  scroll(top: number): void {
    this.scene.top = Math.max(0, Math.min(mostTop(this.scene), top));
    this.told.scrolled();
    this.redraw();
  }

  redraw(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    this.frame = 0;
    if (!this.pen) return;
    const begun = performance.now();
    paint(this.pen, this.scene, this.colours);
    this.frames.push(performance.now() - begun);
    if (this.frames.length > 2000) this.frames.splice(0, 1000);
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.scene.width = clientWidth;
    this.scene.height = clientHeight;
    this.scene.label = clientWidth < NARROW ? 130 : Math.min(320, Math.round(clientWidth * 0.26));
    const context = this.canvas.getContext("2d", { alpha: false });
    if (!context) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.pen = new CanvasPen(context);
    this.scroll(this.scene.top);
    this.draw(); // at once: a resized canvas is empty
  }

  // --- pictures ---

  /** The scene with all its lines, up to a height that picture viewers take. */
  private whole(): Scene {
    const height = Math.min(8000, AXIS + this.scene.lines.length * ROW);
    const top = height < 8000 ? 0 : this.scene.top;
    return { ...this.scene, height, top, hover: null, chosen: -1 };
  }

  svg(): string {
    const scene = this.whole();
    const pen = new SvgPen();
    paint(pen, scene, this.colours);
    return pen.document(scene.width, scene.height);
  }

  async png(): Promise<Blob> {
    const scene = this.whole();
    const picture = new OffscreenCanvas(scene.width * 2, scene.height * 2);
    const context = picture.getContext("2d");
    if (!context) throw new Error("this browser gives no canvas for a picture");
    context.scale(2, 2);
    paint(new CanvasPen(context as unknown as CanvasRenderingContext2D), scene, this.colours);
    return picture.convertToBlob({ type: "image/png" });
  }

  // --- moves ---

  private moved(t0: number, t1: number): void {
    this.window(t0, t1);
    this.told.window(this.scene.t0, this.scene.t1);
  }

  /** Zooms about a place; `factor` below 1 comes nearer. */
  zoom(factor: number, x = (this.scene.label + this.scene.width) / 2): void {
    const { t0, t1 } = this.scene;
    const at = tOf(this.scene, Math.max(this.scene.label, x));
    const length = Math.max(LEAST_MS, (t1 - t0) * factor);
    const part = (at - t0) / (t1 - t0);
    this.moved(at - part * length, at + (1 - part) * length);
  }

  /** Moves the window by a part of its length. */
  pan(part: number): void {
    const { t0, t1 } = this.scene;
    const by = (t1 - t0) * part;
    this.moved(t0 + by, t1 + by);
  }
}
