import { describe, expect, it } from 'vitest';
import { deviceProblem, pageProblem, problemText } from './deviceProblem.ts';

describe('deviceProblem', () => {
  it.each([
    ['NotAllowedError', 'refused'],
    ['SecurityError', 'refused'],
    ['NotFoundError', 'absent'],
    ['NotReadableError', 'busy'],
    ['AbortError', 'busy'],
    ['OverconstrainedError', 'unfit'],
    ['SomethingNew', 'unknown'],
  ])('reads %s as %s', (name, problem) => {
    expect(deviceProblem(new DOMException('', name))).toBe(problem);
  });

  it('does not fail on something that is no error', () => {
    expect(deviceProblem(undefined)).toBe('unknown');
    expect(deviceProblem('no')).toBe('unknown');
  });

  it('knows before asking when asking is of no use', () => {
    const media = { getUserMedia: () => undefined } as unknown as MediaDevices;
    expect(pageProblem(false, media)).toBe('insecure');
    expect(pageProblem(true, undefined)).toBe('unsupported');
    expect(pageProblem(true, media)).toBeNull();
  });

  it('always says what can be done', () => {
    for (const kind of ['camera', 'microphone', 'screen'] as const) {
      for (const problem of [
        'insecure',
        'unsupported',
        'refused',
        'absent',
        'busy',
        'unfit',
        'unknown',
      ] as const) {
        const { what, todo } = problemText(kind, problem);
        expect(what).toContain(kind);
        expect(todo).not.toBe('');
      }
    }
  });
});
