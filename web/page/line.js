// A socket to the command that comes back when the connection is lost.

const AGAIN_MS = 2000;

export class Line {
  // `opened` is called whenever it is open, `heard` with the data of every message, `lost` when it closes.
  constructor(address, { opened, heard, lost }) {
    Object.assign(this, { address, opened, heard, lost, left: false, timer: 0 });
    this.connect();
  }

  connect() {
    this.socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}${this.address}`);
    this.socket.addEventListener("open", () => this.opened());
    this.socket.addEventListener("message", (event) => this.heard(event.data));
    this.socket.addEventListener("close", () => {
      if (this.left) return;
      this.lost();
      this.timer = setTimeout(() => this.connect(), AGAIN_MS);
    });
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  close() {
    this.left = true;
    clearTimeout(this.timer);
    this.socket.close();
  }
}
