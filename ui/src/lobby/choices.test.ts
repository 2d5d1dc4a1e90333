import { describe, expect, it } from 'vitest';
import { clientId, loadChoices, saveChoices } from './choices.ts';

describe('choices', () => {
  it('remember the name', () => {
    saveChoices({ ...loadChoices(), name: 'Ada' });
    expect(loadChoices().name).toBe('Ada');
  });

  it('survive what an older page or somebody else has stored', () => {
    localStorage.setItem('umbrella.choices', '{"name":7,"camera":false,"extra":1}');
    expect(loadChoices()).toMatchObject({ name: '', camera: false, microphone: true });
    localStorage.setItem('umbrella.choices', 'not json');
    expect(loadChoices().camera).toBe(true);
    localStorage.setItem('umbrella.choices', 'null');
    expect(loadChoices().camera).toBe(true);
  });
});

describe('clientId', () => {
  it('stays the same over a reload, so that nobody is in the room twice', () => {
    const id = clientId();
    expect(id).toMatch(/^[A-Za-z0-9_-]{8,64}$/);
    expect(clientId()).toBe(id);
  });

  it('is made anew if the stored one is not valid', () => {
    sessionStorage.setItem('umbrella.client', '<x>');
    expect(clientId()).toMatch(/^[a-f0-9]{24}$/);
  });
});
