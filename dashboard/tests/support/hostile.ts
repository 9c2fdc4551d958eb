// Texts that would run a script, ask somebody else's server or break the page wherever one is taken for markup.
import type { Texts } from './world';

const run = (n: number) => `window.pwned=${n}`;

export const CORPUS: readonly string[] = [
  `<script>${run(1)}</script>`,
  `<img src=x onerror="${run(2)}">`,
  `"><svg onload=${run(3)}>`,
  `'"--></style></script><script>${run(4)}</script>`,
  `</textarea></title><img src=x onerror=${run(5)}>`,
  `<a href="javascript:${run(6)}" autofocus onfocus="${run(7)}">click</a>`,
  `<iframe srcdoc="<script>parent.pwned=8</script>"></iframe>`,
  `<math><mtext></form><form><mglyph><style></math><img src onerror=${run(9)}>`,
  `<style>@import url(http://hostile.invalid/a.css);*{background:url(http://hostile.invalid/b)}</style>`,
  `<base href="http://hostile.invalid/"><link rel="stylesheet" href="http://hostile.invalid/c.css">`,
  `<meta http-equiv="refresh" content="0;url=javascript:${run(10)}">`,
  `<form action="http://hostile.invalid/"><button formaction="javascript:${run(11)}">send</button></form>`,
  `<object data="javascript:${run(12)}"></object><embed src="javascript:${run(13)}">`,
  `{{constructor.constructor('${run(14)}')()}} \${${run(15)}} {@html '<img src=x onerror=${run(16)}>'}`,
  `javascript:${run(17)}//`,
  `%3Cscript%3E${run(18)}%3C/script%3E &lt;script&gt;${run(19)}&lt;/script&gt;`,
  `\u202egnp.exe \u0000 \ufeff \u2028 \ud83d\ude00 ${'\u0301'.repeat(30)}`,
  `<details open ontoggle=${run(20)}><summary>x</summary></details><video><source onerror=${run(21)}></video>`,
];

/** All of them at once. Names are of limited length: they get the ones that matter most. */
export const HOSTILE: Texts = {
  line: `${CORPUS[1]}${CORPUS[2]}${CORPUS[0]}`,
  long: CORPUS.join('\n'),
  url: `%22%3E%3Cimg%20src=x%20onerror=${run(30)}%3E?next=javascript:${run(31)}&a='%3Cscript%3E`,
  key: `"><img src=x onerror=${run(32)}>`,
};
