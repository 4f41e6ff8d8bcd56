/** The page's side of the worker: calls that return promises. */

export class Brain {
  #worker;
  #next = 0;
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();
  /** @type {(event: any) => void} */
  watch = () => {};

  /** @param {string} script address of the worker */
  constructor(script) {
    this.#worker = new Worker(script, { type: "module" });
    this.#worker.onmessage = ({ data }) => {
      if (data.event) return this.watch(data);
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.error === undefined) waiting?.resolve(data.value);
      else waiting?.reject(new Error(data.error));
    };
    this.#worker.onerror = (event) => {
      const error = new Error(event.message || "the worker stopped");
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    };
  }

  /**
   * @param {string} call
   * @param {...any} given
   * @returns {Promise<any>}
   */
  ask(call, ...given) {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, call, given });
    });
  }
}
