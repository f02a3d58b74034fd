// The cross-hair and the words beside it. Everything that it shows stands in the page without it, too.
(() => {
  "use strict";
  const charts = document.querySelector(".charts");
  const source = document.getElementById("data");
  if (!charts || !source) return;
  const data = JSON.parse(source.textContent);
  const figures = [...charts.querySelectorAll("figure")];
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  charts.append(tip);
  // Ours say more than the browser's own.
  for (const title of charts.querySelectorAll(".process title")) title.remove();

  const short = (number) => {
    const digits = Math.abs(number) >= 99.95 ? 0 : Math.abs(number) >= 9.995 ? 1 : 2;
    return String(Number(number.toFixed(digits)));
  };
  const size = (number) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let power = 0;
    for (; Math.abs(number) >= 1024 && power < units.length - 1; power++) number /= 1024;
    return `${short(number)} ${units[power]}`;
  };
  const time = (seconds) => {
    if (seconds < 0.9995) return seconds ? `${short(seconds * 1000)} ms` : "0 s";
    if (seconds < 59.95) return `${short(seconds)} s`;
    const whole = Math.round(seconds);
    return whole < 3600
      ? `${Math.floor(whole / 60)} min ${whole % 60} s`
      : `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
  };
  const written = { size, count: String, cpus: (number) => `${short(number)} CPUs`, rate: (number) => `${size(number)}/s` };

  // The index of the last moment that is not after this one; or, of values that held before, of the first not before it.
  const nearest = (times, moment, before) => {
    let low = 0;
    let high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (before ? times[middle] < moment : times[middle] <= moment) low = middle + 1;
      else high = middle;
    }
    return before ? Math.min(low, times.length - 1) : Math.max(low - 1, 0);
  };
  let now = null;

  const show = (moment) => {
    now = Math.min(Math.max(moment, 0), data.end);
    charts.classList.add("follows");
    const x = data.left + ((data.right - data.left) * now) / data.end;
    for (const line of charts.querySelectorAll(".cursor")) {
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
    }
    for (const figure of figures) {
      const words = [];
      for (const curve of data.curves[figure.dataset.plot] || []) {
        if (!curve.times.length) continue;
        const value = curve.values[nearest(curve.times, now, curve.stepped === "before")];
        if (value !== null) words.push(`${curve.name} ${written[curve.unit](value)}`);
      }
      figure.querySelector("output").textContent = [time(now), ...words].join(" · ");
    }
  };
  const hide = () => {
    now = null;
    charts.classList.remove("follows");
    for (const figure of figures) figure.querySelector("output").textContent = "";
    explain(null);
  };
  const row = (name, content) => {
    const line = document.createElement(name);
    line.textContent = content;
    return line;
  };
  const explain = (bar, event) => {
    for (const other of charts.querySelectorAll(".here")) other.classList.remove("here");
    tip.hidden = !bar;
    if (!bar) return;
    bar.classList.add("here");
    const [command, ...lines] = data.tips[bar.dataset.index];
    tip.replaceChildren(row("code", command), ...lines.map((line) => row("div", line)));
    const frame = charts.getBoundingClientRect();
    const place = bar.getBoundingClientRect();
    const left = Math.min(event.clientX - frame.left + 12, frame.width - tip.offsetWidth);
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = `${place.bottom - frame.top + 6}px`;
  };

  charts.addEventListener("pointermove", (event) => {
    const picture = event.target.closest("svg");
    if (!picture || picture.classList.contains("share")) return;
    const frame = picture.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * data.width;
    if (x < data.left - 4 || x > data.right + 4) return hide();
    show(((x - data.left) / (data.right - data.left)) * data.end);
    explain(event.target.closest(".process"), event);
  });
  charts.addEventListener("pointerleave", hide);
  charts.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (event.key === "Escape") hide();
    if (!(event.key in steps)) return;
    event.preventDefault();
    show((now ?? 0) + (steps[event.key] * data.end) / 100);
  });
})();

// A table whose rows can be sought and sorted. Without the script it is whole, and in the order of its start.
for (const place of document.querySelectorAll(".sifted")) {
  const body = place.querySelector("tbody");
  const rows = [...body.rows];
  const field = document.createElement("input");
  field.type = "search";
  field.className = "sift";
  field.placeholder = `Seek in ${rows.length} actions`;
  field.setAttribute("aria-label", field.placeholder);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const content = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => content.includes(word));
    }
  });
  place.prepend(field);
  const content = (row, index) => {
    const number = row.cells[index].querySelector("data");
    return number ? Number(number.value) : row.cells[index].textContent.trim();
  };
  const compare = (one, other) => {
    const numbers = [one, other].map((item) => (typeof item === "number" ? item : Number.parseFloat(item)));
    if (numbers.every(Number.isFinite)) return numbers[0] - numbers[1];
    if (numbers.some(Number.isFinite)) return Number.isFinite(numbers[0]) ? 1 : -1;
    return String(one).localeCompare(String(other));
  };
  const heads = [...place.querySelectorAll("th")];
  heads.forEach((head, index) => {
    if (!head.textContent) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const first = head.classList.contains("number") ? "descending" : "ascending";
      const turned = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? turned : first;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      body.append(...rows.sort((one, other) => sign * compare(content(one, index), content(other, index))));
    });
  });
}
