// The access point's init script, in the shell that access points have.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BINARY, HERE, missing } from '../lib/settings.mjs';

const PACKAGE = join(HERE, '..', 'deploy', 'openwrt', 'files');
const SCRIPT = join(PACKAGE, 'etc/init.d/umbrella');

describe('on an access point', { skip: missing('busybox') }, () => {
  let folder;
  before(() => { folder = mkdtempSync(join(tmpdir(), 'umbrella-openwrt-')); });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** What the script asks of procd with these settings, and what it complains about. */
  function start(settings, more = {}, action = 'start') {
    const file = join(folder, 'umbrella');
    writeFileSync(file, settings);
    const script = join(HERE, 'native', 'openwrt.sh');
    const env = { PATH: process.env.PATH, HOME: folder, ...more };
    const { status, stdout, stderr } = spawnSync('busybox', ['ash', script, SCRIPT, file, BINARY, action], { env, cwd: folder });
    return { status, asked: stdout.toString().trim().split('\n'), complaint: stderr.toString() };
  }

  test('the shell understands the script', () => {
    execFileSync('busybox', ['ash', '-n', SCRIPT]);
  });

  test('the scripts have none of the usual mistakes of shell scripts', { skip: missing('shellcheck') }, () => {
    // Not in POSIX, but in BusyBox: SC3043 is `local`.
    execFileSync('shellcheck', ['-s', 'sh', '-e', 'SC3043', SCRIPT, join(PACKAGE, '../apk.sh')]);
  });

  test('nothing is started before somebody has asked for it', () => {
    const { status, asked, complaint } = start(readFileSync(join(PACKAGE, 'etc/config/umbrella')).toString());
    assert.deepEqual([status, asked], [0, ['trigger umbrella', 'set']]);
    assert.match(complaint, /uci set umbrella\.main\.enabled=1/);
  });

  test('settings reach the server as they were written', () => {
    const { status, asked, complaint } = start(`
config umbrella 'main'
	option enabled '1'
	option name 'Ann s "house" $HOME'
	option http_serve_addr ':8443'
	list public_ip '203.0.113.7'
	list public_ip '2001:db8::7'
	list keys 'first: a-secret-of-more-than-sixteen'
`);
    assert.equal(status, 0, complaint);
    for (const line of [
      `command ${BINARY}`, 'env UMBRELLA_DATA_DIR=/etc/umbrella', 'env UMBRELLA_NAME=Ann s "house" $HOME',
      'env UMBRELLA_HTTP_SERVE_ADDR=:8443', 'env UMBRELLA_PUBLIC_IP=203.0.113.7,2001:db8::7',
      'env UMBRELLA_KEYS=first: a-secret-of-more-than-sixteen', 'respawn 3600 5 0', 'close',
    ]) assert.ok(asked.includes(line), `${line} is missing of\n${asked.join('\n')}`);
  });

  test('memory is bounded by half of what the access point has, unless somebody says otherwise', () => {
    const meminfo = join(folder, 'meminfo');
    const bound = (settings) => {
      const { status, asked, complaint } = start(settings, { MEMINFO: meminfo });
      assert.equal(status, 0, complaint);
      return asked.find((line) => line.startsWith('env UMBRELLA_LIMIT_MEMORY_MB='))?.split('=')[1];
    };
    const shipped = readFileSync(join(PACKAGE, 'etc/config/umbrella')).toString().replace("enabled '0'", "enabled '1'");
    for (const [kilobytes, half] of [[252_000, '123'], [61_440, '48']]) {
      writeFileSync(meminfo, `MemTotal:         ${kilobytes} kB\nMemFree:           9000 kB\n`);
      assert.equal(bound(shipped), half);
    }
    assert.equal(bound(shipped.replace("'auto'", "'64'")), '64');
    assert.equal(bound("config umbrella 'main'\n\toption enabled '1'\n"), undefined);
  });

  for (const [what, line, words] of [
    ['a mistyped name', "option pulbic_host 'x'", /no option 'pulbic_host'/],
    ['a bad value', "option min_port 'many'", /UMBRELLA_MIN_PORT|min_port/],
  ]) {
    const settings = `config umbrella 'main'\n\toption enabled '1'\n\t${line}\n`;

    test(`${what} is complained about, and the server not started`, () => {
      const { status, asked, complaint } = start(settings);
      assert.notEqual(status, 0);
      assert.ok(!asked.includes('open'), asked.join('\n'));
      assert.match(complaint, words);
    });

    test(`${what} that is set while people talk ends no call`, () => {
      const { status, asked, complaint } = start(settings, {}, 'reload');
      assert.notEqual(status, 0);
      assert.ok(!asked.includes('set'), `procd stops what runs: ${asked.join('\n')}`);
      assert.match(complaint, words);
    });
  }

  test('settings that are changed while it runs reach the server', () => {
    const settings = `config umbrella 'main'\n\toption enabled '1'\n\toption name 'Home'\n\tlist public_ip '192.0.2.1'\n`;
    const { status, asked, complaint } = start(settings, {}, 'reload');
    assert.deepEqual([status, complaint], [0, '']);
    assert.ok(asked.includes('env UMBRELLA_NAME=Home'), asked.join('\n'));
    assert.ok(asked.includes('env UMBRELLA_PUBLIC_IP=192.0.2.1'), asked.join('\n'));
    assert.equal(asked.at(-1), 'set');
  });

  test('what is switched off while it runs is stopped', () => {
    const { status, asked } = start("config umbrella 'main'\n\toption enabled '0'\n", {}, 'reload');
    assert.deepEqual([status, asked.includes('open'), asked.at(-1)], [0, false, 'set']);
  });
});
