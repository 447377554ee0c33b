// Cameras that share no code with this project: tests/support/gst_camera.py.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { PATIENCE_MS, ROOT, within } from './until.mjs';

/** Starts them; answers their RTSP port, and how to end them. */
export async function startCameras() {
  const script = join(ROOT, 'tests', 'support', 'gst_camera.py');
  // Debian's own interpreter: it is the one that has the bindings.
  const child = spawn('/usr/bin/python3', [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await within(PATIENCE_MS, 'a port of the cameras', once(child.stdout, 'data'));
  return { port: Number(String(line).trim()), stop: () => child.kill() };
}
