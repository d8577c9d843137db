// The hands of the canvas: pointer, wheel and keys.

import type { BoardCanvas } from "./board";
import { hitAt } from "./hits";
import type { Line } from "./model";
import { AXIS, lineAt, ROW } from "./scene";

export class Hands {
  private drag: { x: number; y: number; moved: boolean } | null = null;

  constructor(
    private readonly board: BoardCanvas,
    private readonly canvas: HTMLCanvasElement,
  ) {
    canvas.addEventListener("pointerdown", this.down);
    canvas.addEventListener("pointermove", this.move);
    canvas.addEventListener("pointerup", this.up);
    canvas.addEventListener("pointerleave", this.leave);
    canvas.addEventListener("wheel", this.wheel, { passive: false });
    canvas.addEventListener("dblclick", this.twice);
    canvas.addEventListener("keydown", this.key);
  }

  private readonly down = (event: PointerEvent) => {
    if (event.button !== 0) return;
    this.drag = { x: event.offsetX, y: event.offsetY, moved: false };
    this.canvas.setPointerCapture(event.pointerId);
  };

  private readonly move = (event: PointerEvent) => {
    const { drag } = this;
    const { scene } = this.board;
    if (drag) {
      const dx = event.offsetX - drag.x;
      const dy = event.offsetY - drag.y;
      if (!drag.moved && Math.hypot(dx, dy) < 4) return;
      this.drag = { x: event.offsetX, y: event.offsetY, moved: true };
      this.board.told.hovered(null, 0, 0);
      this.board.pan(-dx / (scene.width - scene.label));
      this.board.scroll(scene.top - dy);
      return;
    }
    const inside = event.offsetX >= scene.label && event.offsetY >= AXIS;
    scene.hover = inside ? { x: event.offsetX, y: event.offsetY } : null;
    this.board.told.hovered(inside ? hitAt(scene, event.offsetX, event.offsetY) : null, event.offsetX, event.offsetY);
    this.board.redraw();
  };

  private readonly up = (event: PointerEvent) => {
    const moved = this.drag?.moved;
    this.drag = null;
    if (moved || event.button !== 0) return;
    const index = lineAt(this.board.scene, event.offsetY);
    const line = this.board.scene.lines[index];
    if (!line) return;
    this.board.scene.chosen = index;
    this.board.redraw();
    const onArrow = event.offsetX < this.board.scene.label && event.offsetX < 24 + line.depth * 12;
    if (line.children.length && (onArrow || (line.row === -1 && event.offsetX < this.board.scene.label)))
      this.board.toggle(line);
    else this.board.told.opened(line, hitAt(this.board.scene, event.offsetX, event.offsetY));
  };

  private readonly leave = () => {
    this.board.scene.hover = null;
    this.board.told.hovered(null, 0, 0);
    this.board.redraw();
  };

  private readonly twice = (event: MouseEvent) => {
    if (event.offsetX >= this.board.scene.label) this.board.zoom(0.4, event.offsetX);
  };

  private readonly wheel = (event: WheelEvent) => {
    event.preventDefault();
    const step = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? ROW : 1;
    if (event.ctrlKey || event.metaKey) this.board.zoom(Math.exp((event.deltaY * step) / 300), event.offsetX);
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.board.pan(((event.deltaX || event.deltaY) * step) / (this.board.scene.width - this.board.scene.label));
    } else this.board.scroll(this.board.scene.top + event.deltaY * step);
  };

  private readonly key = (event: KeyboardEvent) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor((this.board.scene.height - AXIS) / ROW) - 1);
    const acts: Record<string, () => void> = {
      ArrowLeft: () => this.board.pan(-0.1),
      ArrowRight: () => this.board.pan(0.1),
      "+": () => this.board.zoom(0.7),
      "=": () => this.board.zoom(0.7),
      "-": () => this.board.zoom(1 / 0.7),
      ArrowDown: () => this.choose(this.board.scene.chosen + 1),
      ArrowUp: () => this.choose(this.board.scene.chosen - 1),
      PageDown: () => this.choose(this.board.scene.chosen + page),
      PageUp: () => this.choose(this.board.scene.chosen - page),
      Home: () => this.choose(0),
      End: () => this.choose(this.board.scene.lines.length - 1),
      " ": () => this.onChosen((line) => line.children.length && this.board.toggle(line)),
      Enter: () => this.onChosen((line) => this.board.told.opened(line, null)),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };

  private onChosen(act: (line: Line) => void): void {
    const line = this.board.scene.lines[this.board.scene.chosen];
    if (line) act(line);
  }

  private choose(index: number): void {
    const { scene } = this.board;
    scene.chosen = Math.max(0, Math.min(scene.lines.length - 1, index));
    const y = scene.chosen * ROW;
    const room = scene.height - AXIS;
    if (y < scene.top) this.board.scroll(y);
    else if (y + ROW > scene.top + room) this.board.scroll(y + ROW - room);
    this.board.told.chosen(scene.lines[scene.chosen] ?? null);
    this.board.redraw();
  }
}
