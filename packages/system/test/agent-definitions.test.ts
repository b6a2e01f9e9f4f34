import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadAgentDefinitions, parseAgentDefinition } from '@perf/system';
import { describe, expect, it } from 'vitest';
import { openSystem, scratchFolder } from './opened-system.ts';

const text = `---
name: reviewer
description: Reviews diffs
keywords: [review, code review]
weight: 2
---

You review.
`;

describe('parseAgentDefinition', () => {
  it('reads name, description, keywords, weight and the prompt', () => {
    expect(parseAgentDefinition(text)).toEqual({
      id: 'reviewer',
      description: 'Reviews diffs',
      keywords: ['review', 'code review'],
      weight: 2,
      prompt: 'You review.',
    });
  });

  it('takes keywords as a string separated by commas, and Windows line ends', () => {
    const crlf = '---\r\nname: a\r\nkeywords: one, two words ,\r\n---\r\nbody';
    expect(parseAgentDefinition(crlf)).toEqual({ id: 'a', keywords: ['one', 'two words'], prompt: 'body' });
    expect(parseAgentDefinition('---\nname: a\n---').keywords).toEqual([]);
  });

  it.each([
    ['no front matter', 'name: a'],
    ['an open front matter', '---\nname: a'],
    ['front matter that is not YAML', '---\n"\n---\n'],
    ['front matter that is a list', '---\n- a\n---\n'],
    ['no name', '---\ndescription: x\n---\n'],
    ['a weight of 0', '---\nname: a\nweight: 0\n---\n'],
    ['keywords that are numbers', '---\nname: a\nkeywords: [1]\n---\n'],
  ])('refuses %s and names the file', (_, wrong) => {
    expect(() => parseAgentDefinition(wrong, 'agents/a.md')).toThrow(
      expect.objectContaining({
        code: 'ERR_PERF_SYSTEM_AGENT_DEFINITION',
        message: expect.stringContaining('agents/a.md'),
      }),
    );
  });
});

describe('loadAgentDefinitions', () => {
  it('reads every Markdown file of a folder, by name, and a system routes by them', async () => {
    const dir = scratchFolder();
    writeFileSync(path.join(dir, 'b.md'), text);
    writeFileSync(path.join(dir, 'a.md'), '---\nname: writer\nkeywords: write\n---\n');
    writeFileSync(path.join(dir, 'notes.txt'), 'not one');
    mkdirSync(path.join(dir, 'sub'));
    const agents = await loadAgentDefinitions(dir);
    expect(agents.map(({ id }) => id)).toEqual(['writer', 'reviewer']);
    const system = await openSystem({ agents });
    expect(system.route('a code review').map(({ id }) => id)).toEqual(['reviewer']);
    await expect(loadAgentDefinitions(path.join(dir, 'missing'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
