import '../app.css';
import { mount } from 'svelte';
import { isFramed } from './frame';
import Portal from './Portal.svelte';
import { portal } from './portal.svelte';

document.documentElement.toggleAttribute('data-framed', isFramed);
portal.start();
mount(Portal, { target: document.getElementById('app') as HTMLElement });
