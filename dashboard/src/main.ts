import './app.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { look } from './lib/theme.svelte';

look.set(look.theme);
mount(App, { target: document.getElementById('app') as HTMLElement });
