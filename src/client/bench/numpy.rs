//! numpy's `default_rng(seed).integers(low, high, n)`, bit for bit: SeedSequence, PCG64 (XSL-RR 128/64),
//! Lemire's bounded integers on buffered 32-bit halves. Test vectors come from numpy itself.

const INIT_A: u32 = 0x43b0_d7e5;
const MULT_A: u32 = 0x931e_8875;
const INIT_B: u32 = 0x8b51_f9dd;
const MULT_B: u32 = 0x58f3_8ded;
const MIX_L: u32 = 0xca01_f9dd;
const MIX_R: u32 = 0x4973_f715;
const POOL: usize = 4;
const PCG_MULTIPLIER: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;

/// `numpy.random.default_rng(seed)`.
#[derive(Debug)]
pub(super) struct Generator {
    state: u128,
    increment: u128,
    /// The high half of the last 64-bit output, not used yet. Survives across calls, as in numpy.
    half: Option<u32>,
}

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        let words = seed_words(seed);
        let initial = (u128::from(words[0]) << 64) | u128::from(words[1]);
        let sequence = (u128::from(words[2]) << 64) | u128::from(words[3]);
        let mut generator = Self { state: 0, increment: (sequence << 1) | 1, half: None };
        generator.step();
        generator.state = generator.state.wrapping_add(initial);
        generator.step();
        generator
    }

    fn step(&mut self) {
        self.state = self.state.wrapping_mul(PCG_MULTIPLIER).wrapping_add(self.increment);
    }

    fn next_u64(&mut self) -> u64 {
        self.step();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    fn next_u32(&mut self) -> u32 {
        if let Some(half) = self.half.take() {
            return half;
        }
        let word = self.next_u64();
        self.half = Some((word >> 32) as u32);
        word as u32
    }

    /// `integers(low, high, count)` with `high` excluded; `high > low`, both below 2^32.
    pub(super) fn integers(&mut self, low: u32, high: u32, count: usize) -> Vec<u32> {
        let range = high.saturating_sub(low);
        (0..count).map(|_| low + self.below(range)).collect()
    }

    /// One value below `range`. A range of one value consumes no random numbers.
    fn below(&mut self, range: u32) -> u32 {
        if range <= 1 {
            return 0;
        }
        let mut product = u64::from(self.next_u32()) * u64::from(range);
        if (product as u32) < range {
            let threshold = range.wrapping_neg() % range;
            while (product as u32) < threshold {
                product = u64::from(self.next_u32()) * u64::from(range);
            }
        }
        (product >> 32) as u32
    }
}

/// `SeedSequence(seed).generate_state(4, uint64)`.
fn seed_words(seed: u64) -> [u64; 4] {
    let mut hash = INIT_A;
    let mut hashmix = |value: u32| {
        let mut value = value ^ hash;
        hash = hash.wrapping_mul(MULT_A);
        value = value.wrapping_mul(hash);
        value ^ (value >> 16)
    };
    let entropy = [seed as u32, (seed >> 32) as u32, 0, 0];
    let mut pool = entropy.map(&mut hashmix);
    for source in 0..POOL {
        for target in 0..POOL {
            if source != target {
                let mixed = hashmix(pool[source]);
                pool[target] = mix(pool[target], mixed);
            }
        }
    }
    let mut hash = INIT_B;
    let mut word = |index: usize| {
        let mut value = pool[index % POOL] ^ hash;
        hash = hash.wrapping_mul(MULT_B);
        value = value.wrapping_mul(hash);
        value ^ (value >> 16)
    };
    std::array::from_fn(|index| {
        let low = u64::from(word(2 * index));
        low | (u64::from(word(2 * index + 1)) << 32)
    })
}

fn mix(left: u32, right: u32) -> u32 {
    let mixed = MIX_L.wrapping_mul(left).wrapping_sub(MIX_R.wrapping_mul(right));
    mixed ^ (mixed >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.random.default_rng(seed)`, the ranges drawn in this order, three values each.
    #[test]
    fn equals_numpy() {
        for (seed, expected) in [
            (0, [[127, 127, 127], [4, 4, 4], [42_756, 32_016, 25_692], [97, 103, 65], [2, 0, 5]]),
            (42, [[127, 127, 127], [4, 4, 4], [4_486, 38_902, 32_902], [121, 120, 180], [2, 23, 6]]),
            ((1 << 40) + 5, [[127, 127, 127], [4, 4, 4], [711, 238, 22_617], [112, 188, 142], [29, 4, 0]]),
        ] {
            let mut generator = Generator::new(seed);
            let ranges = [(127, 128), (4, 5), (0, 50_265), (60, 200), (0, 33)];
            let drawn = ranges.map(|(low, high)| generator.integers(low, high, 3));
            assert_eq!(drawn, expected.map(|row| row.to_vec()), "seed {seed}");
        }
    }
}
