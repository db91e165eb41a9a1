// What can be said of a file before it is sent: in the server's words, which checks it again.

const BEGINNING = 4096; // tells the server enough to say what a file is that is no picture
const HEADER = 512 * 1024; // the size of a JPEG stands behind its metadata
const MIB = 1048576;
const number = (value) => value.toLocaleString("en");
const short = (value) => Number(value.toPrecision(6)).toString();

/**
 * Look at a file.
 *
 * @returns {Promise<{problem?: string, body: Blob, shows: boolean}>} problem: why it is not sent;
 *   body: what is sent, the beginning alone of what is no picture; shows: a browser can show it.
 */
export async function check(file, limits) {
  if (!file.size) {
    return { problem: "The file is empty (0 bytes). Copy or download it again.", body: file, shows: false };
  }
  if (file.size > limits.bytes) {
    const size = (file.size / MIB).toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
    return {
      problem: `The file has ${size} MiB; at most ${short(limits.bytes / MIB)} MiB are taken (most_picture_bytes). Make it smaller.`,
      body: file,
      shows: false,
    };
  }
  let header;
  try {
    header = new DataView(await file.slice(0, HEADER).arrayBuffer());
  } catch {
    return { problem: "It cannot be read: is it a folder, or was it moved? Choose its pictures again.", body: file, shows: false };
  }
  const isPng = header.byteLength >= 24 && header.getUint32(0) === 0x89504e47;
  const isJpeg = header.byteLength >= 3 && header.getUint16(0) === 0xffd8;
  if (!isPng && !isJpeg) return { body: file.slice(0, BEGINNING), shows: false };
  const [width, height] = isPng ? [header.getUint32(16), header.getUint32(20)] : jpegSize(header);
  if (width * height > limits.pixels) {
    return {
      problem: `The picture has ${number(width)} x ${number(height)} pixels; at most ${short(limits.pixels / 1e6)} million are taken (most_picture_pixels). Make it smaller.`,
      body: file,
      shows: false,
    };
  }
  return { body: file, shows: true };
}

/** Width and height of a JPEG; 0 where its header does not say: the server looks closer. */
function jpegSize(header) {
  let position = 2;
  while (position + 9 <= header.byteLength && header.getUint8(position) === 0xff) {
    const marker = header.getUint8(position + 1);
    if (marker === 0xff) position += 1; // a fill byte
    else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return [header.getUint16(position + 7), header.getUint16(position + 5)];
    } else position += 2 + header.getUint16(position + 2);
  }
  return [0, 0];
}
