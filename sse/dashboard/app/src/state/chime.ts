// The sound of an alert: two short tones, made and not loaded. A browser lets a page sound only after a person has
// touched it, which turning the sound on is.

let audio: AudioContext | null = null

export function chime(critical: boolean): void {
  try {
    audio ??= new AudioContext()
    void audio.resume()
    const at = audio.currentTime
    for (const [i, tone] of (critical ? [880, 660, 880] : [660, 880]).entries()) {
      const oscillator = audio.createOscillator()
      const volume = audio.createGain()
      oscillator.frequency.value = tone
      volume.gain.setValueAtTime(0.0001, at + i * 0.16)
      volume.gain.exponentialRampToValueAtTime(0.18, at + i * 0.16 + 0.02)
      volume.gain.exponentialRampToValueAtTime(0.0001, at + i * 0.16 + 0.15)
      oscillator.connect(volume).connect(audio.destination)
      oscillator.start(at + i * 0.16)
      oscillator.stop(at + i * 0.16 + 0.16)
    }
  } catch {
    // no sound here
  }
}
