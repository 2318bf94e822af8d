/** Says what goes on while a form with `data-reading` waits for its page, and sends it once. */
document.addEventListener("DOMContentLoaded", () => {
  for (const form of document.querySelectorAll("form[data-reading]")) {
    const said = document.createElement("p");
    said.className = "soft";
    said.setAttribute("role", "status");
    form.querySelector(".row:last-child").append(said);
    let sent = false;
    form.addEventListener("submit", (event) => {
      if (sent) return event.preventDefault();
      sent = true;
      const spinner = document.createElement("span");
      spinner.className = "spinner";
      said.replaceChildren(spinner, ` ${form.dataset.reading}`);
    });
    // Who comes back to the page may send it again.
    addEventListener("pageshow", () => {
      sent = false;
      said.replaceChildren();
    });
  }
});
