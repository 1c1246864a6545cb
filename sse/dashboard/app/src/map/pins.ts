// The pins: one instanced draw call on a canvas of its own above the map, so that a pin that moves does not have the map
// drawn again. The way between two fixes is computed on the graphics card; the page's part is to upload what changed.

import type { Fleet } from '../state/fleet.ts'
import { FRESH, OLD } from '../state/clock.ts'
import type { Camera } from './camera.ts'
import type { Palette } from './palette.ts'
import { COLUMNS, drawSprites, ROWS } from './sprites.ts'

const FLOATS = 14
const NO_HEADING = 1000
const PIN = 32 // CSS pixels of a sprite's edge

const VERTEX = `#version 300 es
precision highp float;
layout(location=0) in vec2 corner;
layout(location=1) in vec4 fromPlace; // x, y as high parts, then as low parts: one float is metres wide at this size
layout(location=2) in vec4 toPlace;
layout(location=3) in vec4 motion; // start s, glide s, heading at start and at end in radians
layout(location=4) in vec2 state; // when heard of in s, flags
uniform vec4 middle;
uniform vec2 viewport;
uniform float scale, now, serverNow, wrap, size, link, pass;
out vec2 sprite;
out vec2 look; // how old, alpha

void main() {
  int flags = int(state.y);
  int status = flags & 3, alert = (flags >> 2) & 3;
  bool match = (flags & 16) != 0, hidden = (flags & 32) != 0;
  if (hidden || (pass > 0.5) != (alert > 0)) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); return; }
  vec2 a = (fromPlace.xy - middle.xy) + (fromPlace.zw - middle.zw);
  vec2 b = (toPlace.xy - middle.xy) + (toPlace.zw - middle.zw);
  a.x = b.x + (a.x - b.x) - round(a.x - b.x);
  float part = motion.y > 0.0 ? clamp((now - motion.x) / motion.y, 0.0, 1.0) : 1.0;
  vec2 d = mix(a, b, part);
  d.x = d.x - round(d.x) + wrap;
  float old = clamp((serverNow - state.x - ${FRESH / 1000}.0) / ${(OLD - FRESH) / 1000}.0, 0.0, 1.0);
  bool hollow = old >= 1.0;
  old = max(old, link);
  float heading = motion.w;
  bool arrow = heading < 999.0 && !hollow && status == 0;
  if (arrow && motion.z < 999.0) {
    float turn = heading - motion.z;
    turn -= 6.2831853 * round(turn / 6.2831853);
    heading = motion.z + turn * min(1.0, part * 2.0);
  }
  float s = arrow ? sin(heading) : 0.0, c = arrow ? cos(heading) : 1.0;
  vec2 at = corner * size * 0.5;
  at = vec2(at.x * c - at.y * s, at.x * s + at.y * c);
  vec2 pixel = d * scale + at;
  gl_Position = vec4(pixel.x / viewport.x * 2.0, -pixel.y / viewport.y * 2.0, 0.0, 1.0);
  float column = alert > 0 ? float(2 + alert) : float(status);
  float row = hollow ? 2.0 : (arrow ? 0.0 : 1.0);
  sprite = (vec2(column, row) + corner * 0.5 + 0.5) / vec2(${COLUMNS}.0, ${ROWS}.0);
  look = vec2(alert > 0 ? old * 0.5 : old, match ? mix(1.0, 0.62, old) : 0.16);
}`

const FRAGMENT = `#version 300 es
precision mediump float;
in vec2 sprite;
in vec2 look;
uniform sampler2D atlas;
uniform vec3 grey;
out vec4 colour;
void main() {
  vec4 c = texture(atlas, sprite); // premultiplied
  float light = dot(c.rgb, vec3(0.3, 0.59, 0.11));
  colour = vec4(mix(c.rgb, mix(vec3(light), grey * c.a, 0.5), look.x * 0.8), c.a) * look.y;
}`

export class Pins {
  readonly canvas = document.createElement('canvas')
  private gl: WebGL2RenderingContext
  private program: WebGLProgram
  private vertices: WebGLVertexArrayObject
  private buffer: WebGLBuffer
  private atlas: WebGLTexture
  private uniforms: Record<string, WebGLUniformLocation | null> = {}
  private data = new Float32Array(0)
  private capacity = 0
  private anyAlert = false
  private base = performance.now()
  private serverBase = Date.now()
  private dpr = 1
  private grey: [number, number, number] = [0.5, 0.5, 0.5]
  hidden: Uint8Array = new Uint8Array(0)

  constructor(private fleet: Fleet) {
    this.canvas.className = 'pins'
    this.canvas.setAttribute('aria-hidden', 'true')
    const gl = this.canvas.getContext('webgl2', { alpha: true, antialias: false, depth: false, stencil: false, premultipliedAlpha: true })
    if (!gl) throw new Error('This browser draws no WebGL 2.')
    this.gl = gl
    this.program = link(gl, VERTEX, FRAGMENT)
    for (const name of ['middle', 'viewport', 'scale', 'now', 'serverNow', 'wrap', 'size', 'link', 'pass', 'atlas', 'grey']) {
      this.uniforms[name] = gl.getUniformLocation(this.program, name)
    }
    this.vertices = gl.createVertexArray()!
    this.buffer = gl.createBuffer()!
    this.atlas = gl.createTexture()!
    this.setUp()
  }

  setPalette(palette: Palette): void {
    const { gl } = this
    gl.bindTexture(gl.TEXTURE_2D, this.atlas)
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, true)
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, drawSprites(palette))
    gl.generateMipmap(gl.TEXTURE_2D)
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR)
    const n = Number.parseInt(palette.old.slice(1), 16)
    this.grey = [(n >> 16) / 255, (n >> 8 & 255) / 255, (n & 255) / 255]
  }

  resize(width: number, height: number): void {
    this.dpr = Math.min(2, window.devicePixelRatio || 1)
    this.canvas.width = Math.round(width * this.dpr)
    this.canvas.height = Math.round(height * this.dpr)
  }

  // Takes what changed since the last call to the graphics card.
  upload(): void {
    const { gl, fleet } = this
    const dirty = fleet.takeDirty()
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer)
    if (fleet.capacity !== this.capacity) {
      this.capacity = fleet.capacity
      this.data = new Float32Array(this.capacity * FLOATS)
      for (let slot = 0; slot < fleet.slots; slot++) this.pack(slot)
      gl.bufferData(gl.ARRAY_BUFFER, this.data, gl.DYNAMIC_DRAW)
      return
    }
    if (dirty.length === 0) return
    let low = Infinity
    let high = 0
    for (const slot of dirty) {
      this.pack(slot)
      if (slot < low) low = slot
      if (slot > high) high = slot
    }
    gl.bufferSubData(gl.ARRAY_BUFFER, low * FLOATS * 4, this.data, low * FLOATS, (high - low + 1) * FLOATS)
  }

  // linkAge is 0 while the stream lives and 1 when it has been dead for long: then every pin looks old.
  draw(camera: Camera, now: number, serverNow: number, linkAge: number): void {
    const { gl, uniforms: u } = this
    gl.viewport(0, 0, this.canvas.width, this.canvas.height)
    gl.clearColor(0, 0, 0, 0)
    gl.clear(gl.COLOR_BUFFER_BIT)
    const count = this.fleet.slots
    if (count === 0) return
    gl.useProgram(this.program)
    gl.bindVertexArray(this.vertices)
    const hx = Math.fround(camera.x)
    const hy = Math.fround(camera.y)
    gl.uniform4f(u.middle!, hx, hy, camera.x - hx, camera.y - hy)
    gl.uniform2f(u.viewport!, camera.width, camera.height)
    gl.uniform1f(u.scale!, camera.scale)
    gl.uniform1f(u.now!, (now - this.base) / 1000)
    gl.uniform1f(u.serverNow!, (serverNow - this.serverBase) / 1000)
    gl.uniform1f(u.size!, PIN * (camera.zoom < 4 ? 0.78 : camera.zoom < 8 ? 0.9 : 1))
    gl.uniform1f(u.link!, linkAge)
    gl.uniform3f(u.grey!, ...this.grey)
    gl.activeTexture(gl.TEXTURE0)
    gl.bindTexture(gl.TEXTURE_2D, this.atlas)
    gl.uniform1i(u.atlas!, 0)
    // Far out the world is narrower than the window, which then shows it more than once.
    const copies = Math.min(2, Math.ceil((camera.width / camera.scale - 1) / 2))
    for (let pass = 0; pass < (this.anyAlert ? 2 : 1); pass++) {
      gl.uniform1f(u.pass!, pass)
      for (let wrap = -copies; wrap <= copies; wrap++) {
        gl.uniform1f(u.wrap!, wrap)
        gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, count)
      }
    }
  }

  private pack(slot: number): void {
    const { fleet, data } = this
    const o = slot * FLOATS
    const entry = fleet.bySlot[slot]
    if (!entry || !fleet.placed[slot]) {
      data[o + 13] = 32
      return
    }
    const { fromX, fromY, toX, toY } = fleet
    data[o] = fromX[slot]!
    data[o + 1] = fromY[slot]!
    data[o + 2] = fromX[slot]! - data[o]!
    data[o + 3] = fromY[slot]! - data[o + 1]!
    data[o + 4] = toX[slot]!
    data[o + 5] = toY[slot]!
    data[o + 6] = toX[slot]! - data[o + 4]!
    data[o + 7] = toY[slot]! - data[o + 5]!
    data[o + 8] = (fleet.start[slot]! - this.base) / 1000
    data[o + 9] = fleet.glide[slot]! / 1000
    data[o + 10] = radians(fleet.fromHeading[slot]!)
    data[o + 11] = radians(fleet.toHeading[slot]!)
    data[o + 12] = (fleet.received[slot]! - this.serverBase) / 1000
    const status = entry.status === 'online' ? 0 : entry.status === 'offline' ? 1 : 2
    if (entry.alert > 0) this.anyAlert = true
    data[o + 13] = status + entry.alert * 4 + (entry.match ? 16 : 0) + (this.hidden[slot] ? 32 : 0)
  }

  private setUp(): void {
    const { gl } = this
    gl.bindVertexArray(this.vertices)
    const corners = gl.createBuffer()
    gl.bindBuffer(gl.ARRAY_BUFFER, corners)
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW)
    gl.enableVertexAttribArray(0)
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0)
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer)
    for (const [index, size, offset] of [[1, 4, 0], [2, 4, 4], [3, 4, 8], [4, 2, 12]] as const) {
      gl.enableVertexAttribArray(index)
      gl.vertexAttribPointer(index, size, gl.FLOAT, false, FLOATS * 4, offset * 4)
      gl.vertexAttribDivisor(index, 1)
    }
    gl.enable(gl.BLEND)
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA)
    gl.bindTexture(gl.TEXTURE_2D, this.atlas)
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE)
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE)
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR)
  }
}

function radians(degrees: number): number {
  return degrees === degrees ? degrees * Math.PI / 180 : NO_HEADING
}

function link(gl: WebGL2RenderingContext, vertex: string, fragment: string): WebGLProgram {
  const program = gl.createProgram()
  for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]] as const) {
    const shader = gl.createShader(type)!
    gl.shaderSource(shader, source)
    gl.compileShader(shader)
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(`compile pins: ${gl.getShaderInfoLog(shader)}`)
    gl.attachShader(program, shader)
  }
  gl.linkProgram(program)
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`link pins: ${gl.getProgramInfoLog(program)}`)
  return program
}
