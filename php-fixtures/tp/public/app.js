document.addEventListener("DOMContentLoaded", () => {
  document.title += " · " + document.getElementById("member").textContent;
});
