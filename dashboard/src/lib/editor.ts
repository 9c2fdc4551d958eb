// CodeMirror with what a JSON field needs. Loaded when a page first shows an editor.
import { json, jsonParseLinter } from '@codemirror/lang-json';
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { linter } from '@codemirror/lint';
import { EditorState } from '@codemirror/state';
import { tags } from '@lezer/highlight';
import { EditorView, basicSetup } from 'codemirror';

const colours = HighlightStyle.define([
  { tag: tags.propertyName, color: 'light-dark(#3a38b8, #a9acff)' },
  { tag: tags.string, color: 'light-dark(#116a3c, #7fd6a6)' },
  { tag: tags.number, color: 'light-dark(#8a4b00, #f0b976)' },
  { tag: [tags.bool, tags.null], color: 'light-dark(#9b2280, #ee9be0)' },
]);

const theme = EditorView.theme({
  '&': { height: '100%', fontSize: '12.5px', color: 'var(--text)', backgroundColor: 'var(--surface)' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '19px' },
  '.cm-gutters': { backgroundColor: 'var(--sunken)', color: 'var(--text-3)', border: '0' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--hover)' },
  '.cm-content': { caretColor: 'var(--text)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '&.cm-focused': { outline: 'none' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'light-dark(#cfd0fb, #3a3c86)',
  },
  '.cm-tooltip': { backgroundColor: 'var(--raised)', border: '1px solid var(--line)', color: 'var(--text)' },
});

/**
 * Text typed over a selection goes in by a transaction. Left to the browser, what is typed next takes the colours of
 * what was replaced, as a `style` attribute, which the content security policy blocks and reports.
 */
const typedOver = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main;
    const text = event.data;
    if (event.inputType !== 'insertText' || !text || empty || event.isComposing || view.state.readOnly) return false;
    const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: 'input.type', scrollIntoView: true });
    if (!view.state.facet(EditorView.inputHandler).some((handle) => handle(view, from, to, text, insert))) view.dispatch(insert());
    event.preventDefault();
    return true;
  },
});

interface Options {
  root: ShadowRoot;
  label: string;
  readonly: boolean;
  value: string;
  dark: boolean;
  change: (text: string) => void;
}

/** An editor in `root`. Tab moves on, as in every field; it does not indent. */
export function editor({ root, label, readonly, value, dark, change }: Options): EditorView {
  return new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: value,
      extensions: [
        basicSetup,
        json(),
        linter((view) => (view.state.doc.length ? jsonParseLinter()(view) : [])),
        syntaxHighlighting(colours),
        theme,
        EditorView.darkTheme.of(dark),
        EditorView.lineWrapping,
        typedOver,
        EditorState.readOnly.of(readonly),
        EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0' }),
        EditorView.updateListener.of((update) => update.docChanged && change(update.state.doc.toString())),
      ],
    }),
  });
}
