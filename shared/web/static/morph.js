// Make one element like another, changing only what differs: focus, scrolling, opened details,
// and what somebody is typing stay as they are.

/** Give `old` the attributes and children of `fresh`, an element of the same kind. */
export function morph(old, fresh) {
  syncAttributes(old, fresh);
  const byId = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const known = wanted.id ? byId.get(wanted.id) : place;
    if (known && isAlike(known, wanted)) {
      if (known === place) place = place.nextSibling;
      else old.insertBefore(known, place);
      update(known, wanted);
    } else {
      old.insertBefore(document.importNode(wanted, true), place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function isAlike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName
    && (one.id ?? "") === (other.id ?? "");
}

function update(node, fresh) {
  if (node.nodeType === Node.ELEMENT_NODE) {
    if (!node.isEqualNode(fresh)) morph(node, fresh);
  } else if (node.nodeValue !== fresh.nodeValue) {
    node.nodeValue = fresh.nodeValue;
  }
}

function syncAttributes(old, fresh) {
  // A person's own: whether details are open, and what a field holds (its property, not this).
  const kept = old.nodeName === "DETAILS" ? ["open"] : [];
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !kept.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !kept.includes(name)) old.setAttribute(name, value);
  }
}
