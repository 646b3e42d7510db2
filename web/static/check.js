// Says what this browser lacks, before anything else is asked for. No module: those need a server.
var lacking = "";
if (typeof WebAssembly === "undefined") {
  lacking = "This browser has no WebAssembly, by which the network runs; use a newer one, or switch it on.";
} else if (location.protocol === "file:") {
  lacking = "Browsers load no scripts from files. In this folder, start: python -m http.server - and open http://localhost:8000/";
}
if (lacking) {
  document.addEventListener("DOMContentLoaded", function () {
    var words = document.createElement("p");
    words.className = "error";
    words.setAttribute("role", "alert");
    words.textContent = lacking;
    document.getElementById("main").appendChild(words);
  });
}
