"use strict";

// The filter: what has every word of it in its method, path or name stays.
const filter = document.getElementById("filter");
const none = document.getElementById("none");
const nav = document.querySelector("nav");
const items = Array.from(document.querySelectorAll("[data-find]"));
const groups = Array.from(document.querySelectorAll(".chapter, nav .group"));

function apply() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const item of items) {
    const fits = words.every((word) => item.dataset.find.includes(word));
    item.hidden = !fits;
    if (fits) found += 1;
  }
  for (const group of groups) {
    const inside = group.querySelectorAll("[data-find]");
    group.hidden = words.length > 0 && !Array.from(inside).some((item) => !item.hidden);
  }
  nav.classList.toggle("filtered", words.length > 0);
  none.hidden = found > 0;
}

filter.hidden = false;
filter.addEventListener("input", apply);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== filter) {
    event.preventDefault();
    filter.focus();
  } else if (event.key === "Escape" && document.activeElement === filter) {
    filter.value = "";
    apply();
  }
});
apply();

// Every example can be copied where the browser lets pages do so.
if (navigator.clipboard) {
  for (const example of document.querySelectorAll("pre")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(example.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    example.append(button);
  }
}
