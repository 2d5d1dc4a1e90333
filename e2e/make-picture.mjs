// Makes docs/room.png: four people in a room of a real server, each with a drawn "camera".
// UMBRELLA_BIN=target/debug/umbrella node make-picture.mjs

import { join } from 'node:path';
import { startChromium } from './lib/browsers.mjs';
import { invite, joinCall, openPage, seesOthers, signIn } from './lib/page.mjs';
import { startServer } from './lib/server.mjs';
import { HERE } from './lib/settings.mjs';
import { sleep } from './lib/wait.mjs';

const PEOPLE = [
  { name: 'Ana', skin: '#c98d66', hair: '#2b1d16', shirt: '#2f6f5e', wall: ['#e9dcc6', '#c9b693'] },
  { name: 'Jonas', skin: '#f0c9a8', hair: '#a5622a', shirt: '#37507d', wall: ['#cfdbe6', '#93a9bf'] },
  { name: 'Mei', skin: '#e8b98f', hair: '#17151a', shirt: '#a33b4a', wall: ['#dfe7d6', '#a9bd97'] },
  { name: 'Samuel', skin: '#6b4430', hair: '#1a1210', shirt: '#d8a531', wall: ['#e3d7e8', '#b09abb'] },
];

/** Runs in the page before its own scripts: the camera shows somebody who sits and nods. */
function drawnCamera({ skin, hair, shirt, wall }) {
  navigator.mediaDevices.getUserMedia = async ({ video, audio }) => {
    const tracks = [];
    if (audio) {
      const context = new AudioContext();
      const silence = new MediaStreamAudioDestinationNode(context);
      tracks.push(silence.stream.getAudioTracks()[0]);
    }
    if (video) {
      const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 });
      const draw = canvas.getContext('2d');
      const ellipse = (x, y, rx, ry, fill) => {
        draw.fillStyle = fill;
        draw.beginPath();
        draw.ellipse(x, y, rx, ry, 0, 0, 2 * Math.PI);
        draw.fill();
      };
      setInterval(() => {
        const nod = 6 * Math.sin(performance.now() / 700);
        const light = draw.createLinearGradient(0, 0, 1280, 720);
        light.addColorStop(0, wall[0]);
        light.addColorStop(1, wall[1]);
        draw.fillStyle = light;
        draw.fillRect(0, 0, 1280, 720);
        draw.fillStyle = 'rgb(255 255 255 / 45%)';
        draw.fillRect(90, 70, 260, 330);
        ellipse(640, 800, 330, 290, shirt);
        ellipse(640, 545 + nod, 70, 90, skin);
        ellipse(640, 350 + nod, 165, 190, hair);
        ellipse(640, 385 + nod, 140, 175, skin);
        ellipse(640, 232 + nod, 150, 75, hair);
        for (const side of [-1, 1]) ellipse(640 + side * 55, 375 + nod, 13, 16, '#2a211d');
        draw.strokeStyle = '#8a3b36';
        draw.lineWidth = 9;
        draw.lineCap = 'round';
        draw.beginPath();
        draw.arc(640, 440 + nod, 48, 0.2 * Math.PI, 0.8 * Math.PI);
        draw.stroke();
      }, 50);
      tracks.push(canvas.captureStream(20).getVideoTracks()[0]);
    }
    return new MediaStream(tracks);
  };
}

const server = await startServer('picture');
const browser = await startChromium();
const admin = await signIn(browser, server);
const link = await invite(admin, 'Workshop');
const pages = [];
for (const person of PEOPLE) {
  const page = await openPage(browser, server, '', { viewport: { width: 1200, height: 720 } });
  await page.addInitScript(drawnCamera, person);
  await page.goto(`${server.url}/sfu${link}`);
  await page.reload();
  await joinCall(page, person.name);
  pages.push(page);
}
await pages[0].bringToFront();
await seesOthers(pages[0], PEOPLE.length - 1);
// Notices fade and the large layers arrive.
await sleep(9_000);
await pages[0].screenshot({ path: join(HERE, '..', 'docs', 'room.png') });
await browser.close();
await server.stop();
