declare module '*.css';

/** The build of hls.js without subtitles, other sound tracks and encryption; its types are those of the whole. */
declare module 'hls.js/light' {
  export { default } from 'hls.js';
  export * from 'hls.js';
}
