// The canvas and its hands: draws one frame when something moved, and moves by pointer, wheel and keys.

import type { States } from "../lib/types";
import { type Colours, coloursNow } from "./colours";
import { type Hit, hitAt } from "./hits";
import { type Line, type Model, visible } from "./model";
import { paint } from "./paint";
import { CanvasPen, SvgPen } from "./pen";
import { AXIS, lineAt, mostTop, ROW, type Scene, seen, tOf } from "./scene";

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
  private drag: { x: number; y: number; moved: boolean } | null = null;
  private readonly resizing: ResizeObserver;
  /** of the last frames, ms: for measurements */
  readonly frames: number[] = [];

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly told: Told,
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
    canvas.addEventListener("pointerdown", this.down);
    canvas.addEventListener("pointermove", this.move);
    canvas.addEventListener("pointerup", this.up);
    canvas.addEventListener("pointerleave", this.leave);
    canvas.addEventListener("wheel", this.wheel, { passive: false });
    canvas.addEventListener("dblclick", this.twice);
    canvas.addEventListener("keydown", this.key);
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

  // --- hands ---

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

  private readonly down = (event: PointerEvent) => {
    if (event.button !== 0) return;
    this.drag = { x: event.offsetX, y: event.offsetY, moved: false };
    this.canvas.setPointerCapture(event.pointerId);
  };

  private readonly move = (event: PointerEvent) => {
    const { scene, drag } = this;
    if (drag) {
      const dx = event.offsetX - drag.x;
      const dy = event.offsetY - drag.y;
      if (!drag.moved && Math.hypot(dx, dy) < 4) return;
      this.drag = { x: event.offsetX, y: event.offsetY, moved: true };
      this.told.hovered(null, 0, 0);
      this.pan(-dx / (scene.width - scene.label));
      this.scroll(scene.top - dy);
      return;
    }
    const inside = event.offsetX >= scene.label && event.offsetY >= AXIS;
    scene.hover = inside ? { x: event.offsetX, y: event.offsetY } : null;
    this.told.hovered(inside ? hitAt(scene, event.offsetX, event.offsetY) : null, event.offsetX, event.offsetY);
    this.redraw();
  };

  private readonly up = (event: PointerEvent) => {
    const moved = this.drag?.moved;
    this.drag = null;
    if (moved || event.button !== 0) return;
    const index = lineAt(this.scene, event.offsetY);
    const line = this.scene.lines[index];
    if (!line) return;
    this.scene.chosen = index;
    this.redraw();
    const onArrow = event.offsetX < this.scene.label && event.offsetX < 24 + line.depth * 12;
    if (line.children.length && (onArrow || (line.row === -1 && event.offsetX < this.scene.label))) this.toggle(line);
    else this.told.opened(line, hitAt(this.scene, event.offsetX, event.offsetY));
  };

  private readonly leave = () => {
    this.scene.hover = null;
    this.told.hovered(null, 0, 0);
    this.redraw();
  };

  private readonly twice = (event: MouseEvent) => {
    if (event.offsetX >= this.scene.label) this.zoom(0.4, event.offsetX);
  };

  private readonly wheel = (event: WheelEvent) => {
    event.preventDefault();
    const step = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? ROW : 1;
    if (event.ctrlKey || event.metaKey) this.zoom(Math.exp((event.deltaY * step) / 300), event.offsetX);
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.pan(((event.deltaX || event.deltaY) * step) / (this.scene.width - this.scene.label));
    } else this.scroll(this.scene.top + event.deltaY * step);
  };

  private readonly key = (event: KeyboardEvent) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor((this.scene.height - AXIS) / ROW) - 1);
    const acts: Record<string, () => void> = {
      ArrowLeft: () => this.pan(-0.1),
      ArrowRight: () => this.pan(0.1),
      "+": () => this.zoom(0.7),
      "=": () => this.zoom(0.7),
      "-": () => this.zoom(1 / 0.7),
      ArrowDown: () => this.choose(this.scene.chosen + 1),
      ArrowUp: () => this.choose(this.scene.chosen - 1),
      PageDown: () => this.choose(this.scene.chosen + page),
      PageUp: () => this.choose(this.scene.chosen - page),
      Home: () => this.choose(0),
      End: () => this.choose(this.scene.lines.length - 1),
      " ": () => this.onChosen((line) => line.children.length && this.toggle(line)),
      Enter: () => this.onChosen((line) => this.told.opened(line, null)),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };

  private onChosen(act: (line: Line) => void): void {
    const line = this.scene.lines[this.scene.chosen];
    if (line) act(line);
  }

  private choose(index: number): void {
    const { scene } = this;
    scene.chosen = Math.max(0, Math.min(scene.lines.length - 1, index));
    const y = scene.chosen * ROW;
    const room = scene.height - AXIS;
    if (y < scene.top) this.scroll(y);
    else if (y + ROW > scene.top + room) this.scroll(y + ROW - room);
    this.told.chosen(scene.lines[scene.chosen] ?? null);
    this.redraw();
  }
}
